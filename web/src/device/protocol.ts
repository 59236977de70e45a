/** What the page and its worker say to each other. */
import type { Conditions, Rule } from "./eligibility.ts";
import type { Outcome, Progress, Totals } from "./client.ts";

export type Command =
  | { do: "enrol"; token: string }
  | { do: "run" }
  | { do: "pause" }
  | { do: "save" } // the tab may be killed soon
  | { do: "leave" } // tell the coordinator, then forget everything
  | { do: "conditions"; conditions: Conditions; owner: Rule };

/** A failure as a page can show it: see `page/words.ts`. */
export interface Fault {
  kind: string; // the error's class
  code: string; // the coordinator's, where it refused
  problem: string;
  remedy: string;
}

export type Report =
  | { kind: "ready" }
  | { kind: "locked" } // another tab has the device
  | { kind: "enrolled" }
  | { kind: "progress"; progress: Progress }
  | { kind: "outcome"; outcome: Outcome; totals: Totals }
  | { kind: "fault"; fault: Fault; during: Command["do"] }
  | { kind: "paused" }
  | { kind: "left"; toldCoordinator: boolean };
