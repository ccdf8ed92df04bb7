/** What the charger trusts at the moment, refreshed when the service names a timestamp that was not seen yet. */
import { Refusal } from '../protocol/index.ts';
import type { CheckInAnswer } from '../protocol/index.ts';
import { refreshTrust } from '../trust/index.ts';
import type { Files, MetadataFetch, TrustResult } from '../trust/index.ts';
import { readUpTo } from './read-up-to.ts';
import type { Transport } from './transport.ts';

export type TrustHint = Pick<CheckInAnswer, 'timestamp' | 'rootVersion'>;

export class TrustKeeper {
  readonly #files: Files;
  readonly #fetch: MetadataFetch;
  readonly #provisioning: { root: Uint8Array; product: string };
  #seen: TrustHint | undefined;
  #result: TrustResult | undefined;

  constructor(files: Files, transport: Transport, provisioning: { root: Uint8Array; product: string }) {
    this.#files = files;
    this.#fetch = metadataFetch(transport);
    this.#provisioning = provisioning;
  }

  /** Undefined until the first refresh of this process. */
  get current(): TrustResult | undefined {
    return this.#result;
  }

  /** Whether `hint` names nothing that is not trusted, and valid, already. */
  isCurrent(hint: TrustHint, now: number): boolean {
    return (
      this.#result !== undefined &&
      this.#seen?.timestamp === hint.timestamp &&
      this.#seen.rootVersion === hint.rootVersion &&
      now < this.#result.set.timestamp.expires
    );
  }

  /** @throws Refusal: what was trusted before stays trusted. */
  async refresh(hint: TrustHint, now: number): Promise<TrustResult> {
    const previous = this.#result;
    const result = await refreshTrust({
      files: this.#files,
      fetch: this.#fetch,
      now,
      provisioning: this.#provisioning,
      hint,
      ...(previous ? { previous } : {}),
    });
    this.#result = result;
    this.#seen = { timestamp: hint.timestamp, rootVersion: hint.rootVersion };
    return result;
  }
}

/** TUF files over the service's connection. */
export function metadataFetch(transport: Transport): MetadataFetch {
  return async (path, maxBytes) => {
    const answer = await transport.get(`/tuf/${path}`);
    const bytes = await readUpTo(answer.body, answer.status === 200 ? maxBytes + 1 : 0);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new Refusal('SERVICE_UNREACHABLE', `${path}: status ${answer.status}`);
    return bytes;
  };
}
