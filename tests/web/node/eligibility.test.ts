/** Conditions against the conformance vectors: what a page can't see is no obstacle. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Conditions, type Rule, reasons } from "../../../web/src/device/eligibility.ts";
import { vectors } from "./vectors.ts";

const document = vectors("eligibility.json");
const SEEN: Record<string, keyof Conditions> = {
  on_mains: "onMains",
  battery_percent: "batteryPercent",
  metered: "metered",
  free_disk_bytes: "freeDiskBytes",
  minute_of_day: "minuteOfDay",
};
const ANY = { min_battery_percent: 0, require_unmetered_network: false, min_free_disk_bytes: 0, hours: "" };

for (const { name, conditions, rule, obstacles } of document.cases)
  test(name, () => {
    const seen = Object.entries(conditions).filter(([sensor]) => sensor in SEEN);
    const now: Conditions = Object.fromEntries(seen.map(([sensor, value]) => [SEEN[sensor]!, value]));
    const left = obstacles.filter((field: string) => document.sensors[field].every((sensor: string) => sensor in SEEN));
    assert.equal(reasons(now, { ...ANY, ...rule } as Rule).length, left.length);
  });
