/** Requests whose answer is awaited. */

import type { Operation, RequestOptions } from "./operation.js";

/** Seconds after the worker's own deadline in which its answer may still come. */
export const graceSeconds = 5;

export interface Answer {
  resolve(result: unknown): void;
  reject(reason: Error): void;
}

/** Our own clock stands behind the worker's: it also ends what a host no longer answers at all. */
export class PendingRequest {
  readonly deadlineSeconds: number;
  #timer: NodeJS.Timeout | undefined;

  readonly #options: RequestOptions;
  readonly #on: Answer & { cancel(): void; late(): void };

  constructor(
    readonly operation: Pick<Operation<never, unknown>, "name" | "changes">,
    options: RequestOptions,
    on: Answer & { cancel(): void; late(): void },
  ) {
    this.#options = options;
    this.#on = on;

    this.deadlineSeconds = options.deadlineSeconds ?? 30;
    this.#wind();
    options.signal?.addEventListener("abort", on.cancel, { once: true });
  }

  /** It made progress: the deadline begins again. */
  event(event: unknown): void {
    this.#wind();
    this.#options.onEvent?.(event);
  }

  resolve(result: unknown): void {
    this.#release();
    this.#on.resolve(result);
  }

  reject(reason: Error): void {
    this.#release();
    this.#on.reject(reason);
  }

  #wind(): void {
    clearTimeout(this.#timer);
    if (this.deadlineSeconds === 0) return;
    this.#timer = setTimeout(this.#on.late, (this.deadlineSeconds + graceSeconds) * 1000);
  }

  #release(): void {
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener("abort", this.#on.cancel);
  }
}
