/**
 * What the page and its worker say to each other. The page speaks first: a worker's word that comes before the page
 * listens would be lost, while what is said to a worker waits for it.
 */
import { FedRelaError, Refused } from "../core/errors.ts";
import type { Totals } from "./account.ts";
import type { Outcome } from "./client.ts";
import type { Conditions } from "./eligibility.ts";
import type { Choice } from "../engine/processor.ts";
import type { Owner, Progress } from "./work.ts";

export type Command =
  | { do: "begin"; cores: number } // take the device's lock, then tell "ready" or "locked"
  | { do: "enroll"; link: string } // what follows the `#`
  | { do: "run" }
  | { do: "pause" }
  | { do: "save" } // the tab may be killed soon
  | { do: "leave" } // tell the coordinator, then forget everything
  | { do: "conditions"; conditions: Conditions; owner: Owner };

/** A failure as a page can show it: see `page/words.ts`. */
export interface Fault {
  kind: string; // the error's class
  code: string; // the coordinator's, where it refused
  problem: string;
  remedy: string;
}

export type Report =
  | { kind: "ready" }
  | { kind: "locked" } // another tab has the device; "ready" follows when that one is closed
  | { kind: "enrolled" }
  | { kind: "progress"; progress: Progress }
  | { kind: "processor"; choice: Choice; threads: number } // what trains, from now on
  | { kind: "outcome"; outcome: Outcome; totals: Totals }
  | { kind: "fault"; fault: Fault; during: Command["do"] }
  | { kind: "paused" }
  | { kind: "left"; toldCoordinator: boolean };

/** An error as the other side can be told of it. */
export function faultOf(error: unknown): Fault {
  if (error instanceof FedRelaError) {
    const code = error instanceof Refused ? error.code : "";
    return { kind: error.name, code, problem: error.problem, remedy: error.remedy };
  }
  return { kind: "Error", code: "", problem: String(error), remedy: "reload the page" };
}
