/** Runs what takes a while: how far it is, what went wrong, and how to end it. */

import { batch, signal } from "@preact/signals";
import { Code, ScotomaError } from "scotoma";

import { notice } from "../state/server";

/** How far a task is. */
export interface Progress {
  what: string;
  done: number;
  /** 0: not known. */
  total: number;
}

/** What a running task says. */
export type Told = (what: string, done?: number, total?: number) => void;

/** One thing at a time: what runs is ended by what begins. */
export class Task {
  /** Set while it runs. */
  readonly progress = signal<Progress | undefined>(undefined);
  /** What the last run failed of. */
  readonly error = signal<ScotomaError | undefined>(undefined);
  #abort: AbortController | undefined;

  /** Runs `work`, whose calls take the signal. Returns whether it came to its end. */
  async run(work: (signal: AbortSignal, told: Told) => Promise<void>): Promise<boolean> {
    this.cancel();
    const abort = new AbortController();
    this.#abort = abort;
    const told: Told = (what, done = 0, total = 0) => {
      if (!abort.signal.aborted) this.progress.value = { what, done, total };
    };
    batch(() => {
      this.error.value = undefined;
      told("Waiting for the server");
    });
    try {
      await work(abort.signal, told);
      return !abort.signal.aborted;
    } catch (error) {
      if (abort.signal.aborted) return false;
      const failed = error instanceof ScotomaError ? error : failure(error);
      this.error.value = failed;
      notice(failed);
      return false;
    } finally {
      if (this.#abort === abort) {
        this.#abort = undefined;
        this.progress.value = undefined;
      }
    }
  }

  /** Ends what runs. */
  cancel(): void {
    this.#abort?.abort();
    this.#abort = undefined;
    this.progress.value = undefined;
  }
}

/** An error of this page is no error of a call. */
function failure(error: unknown): ScotomaError {
  if (error instanceof Error && error.constructor === Error) return new ScotomaError(Code.FailedPrecondition, error.message, { cause: error, reason: "PAGE" });
  return ScotomaError.from(error);
}
