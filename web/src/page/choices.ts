/** The owner's choices: kept in this browser, told to the worker whenever one changes. */
import type { Conditions } from "../device/eligibility.ts";
import type { Command } from "../device/protocol.ts";
import type { Store } from "../device/store.ts";
import type { Owner } from "../device/work.ts";
import { byId } from "./dom.ts";

const SPARED_BATTERY_PERCENT = 30;
const HOLDOUT_FRACTION = 0.2;
const BOXES = { "spare-battery": "spareBattery", "spare-data": "spareData", "only-hidden": "onlyHidden", "share-totals": "shareTotals" } as const;

interface Settings {
  paused: boolean;
  spareBattery: boolean;
  spareData: boolean;
  onlyHidden: boolean;
  shareTotals: boolean;
}

export class Choices {
  private settings: Settings = { paused: false, spareBattery: true, spareData: true, onlyHidden: false, shareTotals: false };
  private conditions: Conditions = {};

  constructor(
    private readonly store: Store,
    private readonly send: (command: Command) => void,
    private readonly changed: () => unknown,
  ) {}

  /** Read what was chosen before, and listen to the boxes. */
  async load(): Promise<void> {
    this.settings = { ...this.settings, ...(await this.store.getJson<Settings>("settings")) };
    for (const [id, key] of Object.entries(BOXES)) {
      const box = byId<HTMLInputElement>(id);
      box.checked = this.settings[key];
      box.onchange = async () => {
        this.settings[key] = box.checked;
        this.tell();
        this.changed();
        await this.keep();
      };
    }
    this.tell();
  }

  get paused(): boolean {
    return this.settings.paused;
  }

  async pause(paused: boolean): Promise<void> {
    this.settings.paused = paused;
    await this.keep();
  }

  /** What the browser sees of battery, network and storage now. */
  see(conditions: Conditions): void {
    this.conditions = conditions;
    this.tell();
  }

  private async keep(): Promise<void> {
    await this.store.putJson("settings", this.settings);
  }

  private tell(): void {
    const { spareBattery, spareData, onlyHidden, shareTotals } = this.settings;
    const owner: Owner = {
      rule: {
        min_battery_percent: spareBattery ? SPARED_BATTERY_PERCENT : 0,
        require_unmetered_network: spareData,
        min_free_disk_bytes: 0,
        hours: "",
      },
      holdoutFraction: shareTotals ? HOLDOUT_FRACTION : 0,
      onlyHidden,
      allowEvaluation: shareTotals,
    };
    this.send({ do: "conditions", conditions: this.conditions, owner });
  }
}
