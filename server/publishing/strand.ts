/**
 * Publishing anything, a policy too, first looks at every charger and every release that it could leave without a way on, and names them.
 * Design §2.3. What leads to a loss is known beforehand: a release or a fallback that goes, a product that goes, or a policy or Sigstore root
 * that accepts less. A publication that only adds looks at nothing; one that changes a product looks at that product alone.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Transaction } from 'kysely';
import { Refusal, type ReleaseTarget, type TrustPolicy } from '@tidegate/client-sdk/protocol';
import { parsePolicy } from '@tidegate/client-sdk/trust';
import { targetKey } from '@tidegate/signer/repository';
import type { Database, Row } from '../db/index.ts';
import { reviewAttestations } from './attestations.ts';
import type { Candidate } from './candidate.ts';
import { type Current, readBlob } from './current.ts';
import { kindsOf, liveRollouts, serialsOf } from './fleet.ts';
import { type ReleaseChanges, releasesOf } from './releases.ts';
import { refuseStranding, type Stranded } from './stranded.ts';
import { type Kind, lossOf, lostReleases, type Shelf } from './strand-rule.ts';
import type { PublishingDeps } from './types.ts';

/** @throws ApiError `WOULD_STRAND`, which names whom and what; what `accepted` names is let go. */
export async function requireNobodyStranded(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  states: { current: Current; candidate: Candidate; changes: ReleaseChanges },
  accepted: readonly string[],
  now: number,
): Promise<Stranded> {
  const stranded: Stranded = { chargers: [], releases: [] };
  const lesser = lesserTrust(states);
  const products = touchedProducts(states, lesser);
  const rows = await releasesOf(deps, trx, products);
  for (const product of products) {
    const shelves = shelvesOf(deps, states, {
      product,
      rows: rows.filter((row) => row.product === product),
      sameTrust: !lesser.includes(product),
    });
    const one = await strandedIn(deps, trx, product, shelves, now);
    stranded.chargers.push(...one.chargers);
    stranded.releases.push(...one.releases);
  }
  refuseStranding(stranded, accepted);
  return stranded;
}

async function strandedIn(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  product: string,
  { before, after, ran, refusalOf }: Shelves,
  now: number,
): Promise<Stranded> {
  const chargers: Stranded['chargers'] = [];
  for (const kind of await kindsOf(trx, deps.organisation, product)) {
    const image = kind.sha256 === null ? undefined : ran(kind.sha256);
    // What the release says of itself counts, where there is one; a charger may report nonsense.
    const known: Kind = {
      ...kind,
      version: image?.custom.version ?? kind.version,
      securityVersion: image?.custom.securityVersion ?? kind.securityVersion,
    };
    const loss = await lossOf(known, before, after, now);
    if (loss === undefined) continue;
    const ways = before.fallbacks(kind.sha256 ?? '').map(({ path }) => path);
    const { hardware, sha256, version, chargers: total } = kind;
    chargers.push({
      loss,
      product,
      hardware,
      runs: { version, sha256, path: image?.path ?? null },
      because: loss === 'NO_WAY_ON' ? await refusalOf(image) : null,
      fallbacks: ways,
      total,
      serials: await serialsOf(trx, deps.organisation, product, kind),
    });
  }
  const lost = await lostReleases(await liveRollouts(trx, deps.organisation, product), before, after, now);
  const releases = await Promise.all(
    lost.map(async ({ release, neededBy }) => ({
      product,
      path: release.path,
      version: release.custom.version,
      neededBy,
      because: await refusalOf(release),
    })),
  );
  return { chargers, releases };
}

/** Products of which an image may be refused now that was accepted before, although its role is the same. */
function lesserTrust({ current, candidate }: { current: Current; candidate: Candidate }): string[] {
  const products = Object.keys(candidate.versions.roles);
  const { documents } = candidate;
  if (
    documents.policy === current.documents.policy &&
    documents.sigstoreRoot === current.documents.sigstoreRoot
  ) {
    return [];
  }
  const before = parsePolicy(current.documents.policy);
  const everywhere =
    documents.sigstoreRoot !== current.documents.sigstoreRoot ||
    !isDeepStrictEqual(before.denied, candidate.policy.denied);
  const rules = (policy: TrustPolicy, product: string) =>
    Object.hasOwn(policy.products, product) ? policy.products[product] : undefined;
  return products.filter(
    (product) => everywhere || !isDeepStrictEqual(rules(before, product), rules(candidate.policy, product)),
  );
}

function touchedProducts(
  { candidate, changes }: { candidate: Candidate; changes: ReleaseChanges },
  lesser: readonly string[],
): string[] {
  const fewer = [
    ...changes.yanked.map(({ product }) => product),
    // Perhaps only its notes; a look costs little.
    ...changes.changed.map(({ product }) => product),
  ];
  return [...new Set([...candidate.removed, ...lesser, ...fewer])];
}

interface Shelves {
  before: Shelf;
  after: Shelf;
  /** What is known of an image that was ever listed. */
  ran: (sha256: string) => ReleaseTarget | undefined;
  /** The code with which a charger refuses a release now; null for none. */
  refusalOf: (release: ReleaseTarget | undefined) => Promise<string | null>;
}

/**
 * Both states of one product, from the rows, which say what the roles say. What this publication brings was verified already, with bundles
 * that wait in staging still.
 */
function shelvesOf(
  deps: PublishingDeps,
  { current, candidate, changes }: { current: Current; candidate: Candidate; changes: ReleaseChanges },
  { product, rows, sameTrust }: { product: string; rows: Row<'releases'>[]; sameTrust: boolean },
): Shelves {
  const all = new Map(rows.map((row) => [row.sha256, targetOf(row)]));
  const before = new Map(
    rows.filter((row) => row.yanked_at === null).map((row) => [row.path, targetOf(row)]),
  );
  const brought = new Map(
    [...changes.added, ...changes.changed]
      .filter((one) => one.product === product)
      .map(({ target }) => [target.path, target]),
  );
  const after = new Map([...before, ...brought]);
  for (const { path } of changes.yanked) after.delete(path);
  const newest = new Map([
    ...all,
    ...[...brought.values()].map((target) => [target.sha256, target] as const),
  ]);

  const verdictBefore = verdicts(deps, product, {
    policy: parsePolicy(current.documents.policy),
    sigstoreRoot: current.documents.sigstoreRoot,
  });
  const verdictNow = sameTrust
    ? verdictBefore
    : verdicts(deps, product, {
        policy: candidate.policy,
        sigstoreRoot: candidate.documents.sigstoreRoot,
      });
  const refusedNow = (target: ReleaseTarget): Promise<string | null> =>
    changes.verified.has(target.path) ? Promise.resolve(null) : verdictNow(target);
  return {
    before: {
      delegated: current.roles.has(product),
      listed: before,
      fallbacks: (sha256) => all.get(sha256)?.custom.fallback ?? [],
      accepts: async (release) => (await verdictBefore(release)) === null,
    },
    after: {
      delegated: !candidate.removed.includes(product),
      listed: candidate.removed.includes(product) ? new Map() : after,
      fallbacks: (sha256) => newest.get(sha256)?.custom.fallback ?? [],
      accepts: async (release) => (await refusedNow(release)) === null,
    },
    ran: (sha256) => all.get(sha256),
    refusalOf: async (release) =>
      release === undefined || !after.has(release.path) ? 'TARGET_UNKNOWN' : refusedNow(release),
  };
}

function targetOf({ path, sha256, length, custom }: Row<'releases'>): ReleaseTarget {
  return { path, sha256, length, custom };
}

/** The code with which a charger would refuse an image, or null when it accepts it; each is verified once. */
function verdicts(
  deps: Pick<PublishingDeps, 'blobs'>,
  product: string,
  trust: { policy: TrustPolicy; sigstoreRoot: Buffer },
): (target: ReleaseTarget) => Promise<string | null> {
  const known = new Map<string, Promise<string | null>>();
  const verify = async (target: ReleaseTarget): Promise<string | null> => {
    try {
      await reviewAttestations({ target, product, ...trust }, ({ path, sha256 }) =>
        readBlob(deps.blobs, targetKey(path, sha256)),
      );
      return null;
    } catch (error) {
      if (error instanceof Refusal) return error.code;
      throw error;
    }
  };
  return (target) => {
    const verdict = known.get(target.path) ?? verify(target);
    known.set(target.path, verdict);
    return verdict;
  };
}
