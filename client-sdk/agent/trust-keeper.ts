/** What the charger trusts at the moment, refreshed when the service names a timestamp that was not seen yet. */
import { Refusal } from '../protocol/index.ts';
import type { CheckInAnswer, Clock } from '../protocol/index.ts';
import { systemClock } from './clock.ts';
import { refreshTrust } from '../trust/index.ts';
import type { Files, MetadataFetch, TrustResult } from '../trust/index.ts';
import { readUpTo } from './read-up-to.ts';
import type { Transport } from './transport.ts';

export type TrustHint = Pick<CheckInAnswer, 'timestamp' | 'rootVersion'>;

export class TrustKeeper {
  readonly #files: Files;
  readonly #fetch: MetadataFetch;
  readonly #provisioning: { root: Uint8Array; product: string };
  #result: TrustResult | undefined;

  constructor(
    files: Files,
    transport: Transport,
    provisioning: { root: Uint8Array; product: string },
    wall: Clock = systemClock,
  ) {
    this.#files = files;
    this.#fetch = metadataFetch(transport, wall);
    this.#provisioning = provisioning;
  }

  /** Takes up what an earlier run trusted, without the network. `now` is a time that is certainly past. */
  async recall(now: number): Promise<void> {
    try {
      this.#result = await recallTrust({ files: this.#files, provisioning: this.#provisioning, now });
    } catch (error) {
      // Never refreshed yet, or torn: the first answer of the service brings it anew.
      if (!(error instanceof Refusal)) throw error;
    }
  }

  /** Undefined before the first refresh. */
  get current(): TrustResult | undefined {
    return this.#result;
  }

  /** Whether `hint` names nothing that is not trusted, and valid, already. */
  isCurrent(hint: TrustHint, now: number): boolean {
    const known = this.#result;
    return (
      known !== undefined &&
      hint.rootVersion === known.set.root.version &&
      // Of every role: a timestamp that lives for ever must not keep the others alive.
      now < earliestExpiry(known) &&
      Buffer.from(hint.timestamp).equals(known.timestampBytes)
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
    return result;
  }
}

/** ms: when the first of the roles that are trusted expires. */
export function earliestExpiry({ set, productTargets }: TrustResult): number {
  const roles = [set.root, set.timestamp, set.snapshot, set.targets, productTargets];
  return Math.min(...roles.map(({ expires }) => expires));
}

/**
 * What the charger trusted last, from its own disk.
 * @throws Refusal where that does not verify at `now`, or where there is nothing yet
 */
export function recallTrust(input: {
  files: Files;
  provisioning: { root: Uint8Array; product: string };
  now: number;
}): Promise<TrustResult> {
  const { files } = input;
  return refreshTrust({
    ...input,
    fetch: (path, maxBytes) =>
      path === 'metadata/timestamp.json'
        ? files.read('tuf/timestamp.json', maxBytes)
        : Promise.resolve(undefined),
  });
}

/** TUF files over the service's connection. */
export function metadataFetch(transport: Transport, wall: Clock = systemClock): MetadataFetch {
  return async (path, maxBytes) => {
    const answer = await transport.get(`/tuf/${path}`);
    const bytes = await readUpTo(answer.body, answer.status === 200 ? maxBytes + 1 : 0, wall);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new Refusal('SERVICE_UNREACHABLE', `${path}: status ${answer.status}`);
    return bytes;
  };
}
