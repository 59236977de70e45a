/** What a fault means for an assignment. See the Python `fedrela.edge.training.faults`. */
import { GroupRefused, IntegrityError, NotEligible, VerificationFailed } from "../core/errors.ts";
import type { FailureCode } from "../core/wire.ts";
import { AssignmentFailed } from "./held.ts";

/** What the coordinator is told of a fault: its kind, never its text. */
export function failureCode(fault: unknown): FailureCode {
  if (fault instanceof AssignmentFailed) return fault.code;
  if (fault instanceof IntegrityError || fault instanceof GroupRefused) return "integrity-failed";
  if (fault instanceof VerificationFailed) return "self-test-failed";
  if (fault instanceof NotEligible) return "not-eligible";
  return "training-failed";
}
