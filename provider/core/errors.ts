/**
 * The four kinds of error. What a caller can do decides the kind, never the wording.
 *
 * Match by `kind` with {@link isKind}, not with `instanceof`: two copies of this module may be loaded, one in the user's
 * program and one in the provider process. No error carries a numeric `code`: gRPC would take it for a status.
 */

export type ErrorKind = "user" | "unreachable" | "outcome-unknown" | "bug";

abstract class LivediskError extends Error {
  abstract readonly kind: ErrorKind;

  constructor(sentence: string, options?: { cause?: unknown }) {
    super(sentence, options);
    this.name = new.target.name;
  }
}

/** The user can fix it; the sentence says how. */
export class UserError extends LivediskError {
  readonly kind = "user";
  /** Whether the sentence says where each disk is: then nobody adds it. */
  readonly tellsCurrent: boolean;

  constructor(sentence: string, { tellsCurrent = false, ...options }: { cause?: unknown; tellsCurrent?: boolean } = {}) {
    super(sentence, options);
    this.tellsCurrent = tellsCurrent;
  }
}

/** Whether a sentence says where each disk is, from whichever copy of this module. */
export function tellsCurrent(thrown: unknown): boolean {
  return isKind(thrown, "user") && "tellsCurrent" in thrown && thrown.tellsCurrent === true;
}

/** Whether a sentence says what the user can do: each of ours does, but for a fault of ours. */
export function tellsWhatToDo(thrown: unknown): boolean {
  return isOurs(thrown) && !isKind(thrown, "bug");
}

/** The host, or the monitor behind it, did not answer: its state is unknown. Never means "gone". */
export class UnreachableError extends LivediskError {
  readonly kind = "unreachable";
}

/** A command was sent and no answer came. Observe again before anything else. */
export class OutcomeUnknownError extends LivediskError {
  readonly kind = "outcome-unknown";
}

/** Ours. The sentence asks for a report. */
export class BugError extends LivediskError {
  readonly kind = "bug";

  constructor(sentence: string, options?: { cause?: unknown }) {
    super(`${sentence} This is a fault of pulumi-livedisk: please report it.`, options);
  }
}

/** Whether `thrown` is one of ours, and of this kind, from whichever copy of this module. */
export function isKind(thrown: unknown, kind: ErrorKind): thrown is Error & { kind: ErrorKind } {
  return thrown instanceof Error && "kind" in thrown && thrown.kind === kind;
}

/** Whether `thrown` is one of ours at all, so that its message is a sentence for the user. */
export function isOurs(thrown: unknown): thrown is Error & { kind: ErrorKind } {
  return (["user", "unreachable", "outcome-unknown", "bug"] as const).some((kind) => isKind(thrown, kind));
}

/** What anything thrown says, as one line. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The end of every exhaustive switch: the compiler proves that it is not reached. */
export function impossible(value: never): never {
  throw new BugError(`Reached a state that cannot be: ${JSON.stringify(value)}.`);
}
