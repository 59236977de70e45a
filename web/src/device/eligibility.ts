/** May this device train now? The task's and the owner's conditions against what a browser can see. */
import type { Task } from "../core/task.ts";

/** What the page can see; undefined where the browser doesn't tell. */
export interface Conditions {
  onMains?: boolean;
  batteryPercent?: number;
  metered?: boolean;
  freeDiskBytes?: number;
  minuteOfDay?: number;
}

export type Rule = Pick<Task["eligibility"], "min_battery_percent" | "require_unmetered_network" | "min_free_disk_bytes" | "hours">;

/** Why training must wait, as sentences for the owner; empty if nothing stands in the way. */
export function reasons(now: Conditions, rule: Rule): string[] {
  const obstacles: string[] = [];
  const leastPercent = rule.min_battery_percent;
  if (leastPercent && !now.onMains && now.batteryPercent !== undefined && now.batteryPercent < leastPercent)
    obstacles.push(`The battery is at ${Math.round(now.batteryPercent)} %. Plug in, or wait for ${leastPercent} %.`);
  if (rule.require_unmetered_network && now.metered) obstacles.push("You are saving data. Training waits for Wi-Fi.");
  if (rule.min_free_disk_bytes && now.freeDiskBytes !== undefined && now.freeDiskBytes < rule.min_free_disk_bytes)
    obstacles.push("There is too little free space on this device.");
  if (rule.hours && now.minuteOfDay !== undefined && !inside(rule.hours, now.minuteOfDay))
    obstacles.push(`Training is allowed from ${rule.hours.replace("-", " to ")} only.`);
  return obstacles;
}

/** Whether the hours, "22:00-06:00" as a task is read with them, hold a minute of the day. */
function inside(hours: string, minute: number): boolean {
  const [start, end] = hours.split("-").map((time) => 60 * Number(time.slice(0, 2)) + Number(time.slice(3))) as [number, number];
  return start <= end ? minute >= start && minute < end : minute >= start || minute < end;
}
