/**
 * The same tree of errors as the Python device: each says what is wrong and what to do about it.
 *
 *     FedRelaError
 *     ├── InvalidInput        bytes, a message, a task or data of the wrong form; nothing was changed
 *     ├── IntegrityError      a hash or a signature does not match
 *     ├── GroupRefused        the members or the messages of a secure round are not what they must be; nothing more is sent
 *     ├── VerificationFailed  a program and its golden outputs disagree
 *     ├── NotEligible         the owner's or the task's conditions are not met now
 *     ├── StorageFull         the browser refuses to keep more
 *     ├── BrowserSilent       a part of the browser that must answer (storage, the worker) doesn't
 *     ├── Refused             the coordinator refused, with a code and a status
 *     └── Unavailable         the coordinator can't be reached or isn't ready; trying again later is right
 */
export class FedRelaError extends Error {
  override readonly name: string = "FedRelaError"; // spelled out: a bundler shortens the names of classes

  constructor(
    readonly problem: string,
    readonly remedy: string,
  ) {
    super(`${problem}; ${remedy}`);
  }
}

export class InvalidInput extends FedRelaError {
  override readonly name = "InvalidInput";
}
export class IntegrityError extends FedRelaError {
  override readonly name = "IntegrityError";
}
export class GroupRefused extends FedRelaError {
  override readonly name = "GroupRefused";
}
export class VerificationFailed extends FedRelaError {
  override readonly name = "VerificationFailed";
}
export class NotEligible extends FedRelaError {
  override readonly name = "NotEligible";
}
export class StorageFull extends FedRelaError {
  override readonly name = "StorageFull";
}
export class BrowserSilent extends FedRelaError {
  override readonly name = "BrowserSilent";
}
export class Unavailable extends FedRelaError {
  override readonly name = "Unavailable";
}

export class Refused extends FedRelaError {
  override readonly name = "Refused";

  constructor(
    problem: string,
    remedy: string,
    readonly code: string,
    readonly status: number,
  ) {
    super(problem, remedy);
  }
}
