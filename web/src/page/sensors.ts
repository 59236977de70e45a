/** What the browser tells of battery and network, and the screen's wake lock while training. */
import { within } from "../core/deadline.ts";
import type { Conditions } from "../device/eligibility.ts";

interface Battery extends EventTarget {
  charging: boolean;
  level: number;
}
interface Connection extends EventTarget {
  saveData?: boolean;
  type?: string;
}
const browser = navigator as Navigator & { getBattery?: () => Promise<Battery>; connection?: Connection };

const ANSWER_SECONDS = 3;

/** What a part of the browser says; undefined where it lacks that part, refuses, or stays silent. */
async function answerOf<T>(promise: Promise<T> | undefined): Promise<T | undefined> {
  if (!promise) return undefined;
  return within(ANSWER_SECONDS, promise, () => new Error("silent")).catch(() => undefined);
}

/** Tell of the conditions now and whenever they change. */
export async function watchConditions(tell: (conditions: Conditions) => void): Promise<void> {
  const battery = await answerOf(browser.getBattery?.());
  const { connection } = browser;
  const look = async (): Promise<void> => {
    const { quota, usage } = (await answerOf(navigator.storage?.estimate?.())) ?? {};
    tell({
      ...(battery ? { onMains: battery.charging, batteryPercent: 100 * battery.level } : {}),
      ...(connection ? { metered: connection.saveData === true || connection.type === "cellular" } : {}),
      ...(quota !== undefined && usage !== undefined ? { freeDiskBytes: quota - usage } : {}),
    });
  };
  for (const event of ["chargingchange", "levelchange"]) battery?.addEventListener(event, () => void look());
  connection?.addEventListener("change", () => void look());
  await look();
}

/** Keeps the screen on while training is under way and the page is seen. */
export class WakeLock {
  private held: WakeLockSentinel | undefined;
  private training = false;

  constructor() {
    document.addEventListener("visibilitychange", () => void this.settle());
  }

  want(training: boolean): void {
    this.training = training;
    void this.settle();
  }

  private async settle(): Promise<void> {
    if (this.training && document.visibilityState === "visible" && !this.held) {
      this.held = await navigator.wakeLock?.request("screen").catch(() => undefined);
      this.held?.addEventListener("release", () => (this.held = undefined));
    } else if (!this.training && this.held) await this.held.release();
  }
}
