import { ApiError } from '../http/index.ts';

/** What became of one request of a batch: a value, or the error that is its own. */
export type Outcome<R> = { ok: true; value: R } | { ok: false; error: unknown };

/**
 * Gathers requests that arrive while a batch is being committed, and commits them together as the next one: many requests, one
 * transaction, one flush to disk. A request is answered only after the transaction that holds it has committed.
 *
 * `commit` answers each request of its batch, in order. When it throws, nothing of the batch was written; its requests are
 * then committed one by one, so that one that breaks the transaction breaks only its own.
 */
export class GroupCommit<T, R> {
  readonly #commit: (batch: T[]) => Promise<Outcome<R>[]>;
  readonly #most: number;
  readonly #longest: number;
  #waiting: { request: T; settle: (outcome: Outcome<R>) => void }[] = [];
  #busy = false;

  /**
   * @param limits.batch most requests in one transaction.
   * @param limits.queue most requests that wait; beyond it they are refused at once, so that memory stays bounded.
   */
  constructor(commit: (batch: T[]) => Promise<Outcome<R>[]>, limits: { batch: number; queue: number }) {
    this.#commit = commit;
    this.#most = limits.batch;
    this.#longest = limits.queue;
  }

  /** Its outcome; `UNAVAILABLE` at once when too many wait already. */
  submit(request: T): Promise<Outcome<R>> {
    if (this.#waiting.length >= this.#longest) {
      const error = new ApiError('UNAVAILABLE', 'Too many requests wait.', {
        headers: { 'Retry-After': '5' },
      });
      return Promise.resolve({ ok: false, error });
    }
    return new Promise((settle) => {
      this.#waiting.push({ request, settle });
      if (!this.#busy) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    // One turn of the event loop, so that requests which arrived together share the first transaction too.
    await new Promise((next) => setImmediate(next));
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#most);
      const outcomes = await this.#settleBatch(batch.map(({ request }) => request));
      batch.forEach(({ settle }, i) => settle(outcomes[i] ?? { ok: false, error: new Error('no outcome') }));
    }
    this.#busy = false;
  }

  async #settleBatch(requests: T[]): Promise<Outcome<R>[]> {
    try {
      return await this.#commit(requests);
    } catch (error) {
      if (requests.length === 1) return [{ ok: false, error }];
    }
    const outcomes: Outcome<R>[] = [];
    for (const request of requests) outcomes.push(...(await this.#settleBatch([request])));
    return outcomes;
  }
}
