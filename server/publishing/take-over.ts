/**
 * The way out of the fence. A database that was restored from a backup knows less than the store beside it: here it learns from the store what was
 * published since, so that chargers never meet anything older and nobody has to send it again. The service whose database this is not is
 * fenced from then on, if it is still there.
 */
import type { Transaction } from 'kysely';
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import { parsePolicy, TrustedSet } from '@tidegate/client-sdk/trust';
import { metadataKey, TIMESTAMP_KEY } from '@tidegate/signer/repository';
import { appendAudit } from '../audit/index.ts';
import { type Database, inTransaction, type Row } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import { type Candidate, requireOnlineKeys } from './candidate.ts';
import {
  collect,
  type Current,
  findBlob,
  loadRow,
  lockRepository,
  readBlob,
  readListed,
  rolesIn,
} from './current.ts';
import { isKnown, mirrorTimestamp, requireSettled } from './fence.ts';
import { makeSnapshot, makeTimestamp, nextOnlineVersion } from './online.ts';
import { recordPublication } from './record.ts';
import { markRefused } from './refused.ts';
import { type ReleaseChanges, reviewReleases } from './releases.ts';
import type { Publisher, PublishingDeps } from './types.ts';
import { freeVersion } from './versions.ts';
import { storeDocuments } from './write.ts';

export interface TakeOver {
  /** Whether the store holds another writer's timestamp. If not, there is nothing to take over. */
  fenced: boolean;
  /** Version of that timestamp; of the own one where there is no other. */
  over: number;
  /** Roles of which the store has a later version than the database, the online ones included. */
  roles: { role: string; from: number; to: number }[];
  /** Releases that the database does not know, knows otherwise, or knows and the store lists no longer. */
  added: string[];
  changed: string[];
  yanked: string[];
}

/**
 * What a take-over would do. Nothing is changed.
 * @throws ApiError and Refusal as `takeOver`
 */
export function findTakeOver(deps: PublishingDeps): Promise<TakeOver> {
  return inTransaction(deps.db, async (trx) => {
    const found = await examine(deps, trx);
    return 'tag' in found ? summary(found) : found;
  });
}

/**
 * Records what the store says and signs snapshot and timestamp above it.
 *
 * @param over the version of the timestamp that is taken over, as `findTakeOver` told it. If it is another one now, another service writes still.
 * @throws ApiError `CONFLICT` when somebody has written since · `METADATA_REFUSED` when the store does not follow from what the database knows ·
 *   `UPLOAD_MISSING` when the store lists an image that it does not have. Refusal `METADATA_*` when it is not signed by whom the root names.
 */
export async function takeOver(deps: PublishingDeps, over: number, by: Publisher): Promise<TakeOver> {
  const taken = await inTransaction(deps.db, async (trx) => {
    const found = await examine(deps, trx);
    if (!('tag' in found)) return found;
    const told = summary(found);
    if (told.over !== over) {
      throw new ApiError(
        'CONFLICT',
        `The store's timestamp is ${told.over} now: another service writes there.`,
      );
    }
    await record(deps, trx, found, told, by);
    return told;
  });
  if (taken.fenced) await mirrorTimestamp(deps);
  return taken;
}

interface Found {
  row: Row<'repository'>;
  tag: string;
  timestamp: Buffer;
  /** As the store has it. */
  current: Current;
  over: { timestamp: number; snapshot: number };
  candidate: Candidate;
  changes: ReleaseChanges;
}

async function examine(deps: PublishingDeps, trx: Transaction<Database>): Promise<Found | TakeOver> {
  await lockRepository(trx, deps.organisation);
  const row = await loadRow(trx, deps.organisation);
  if (row === undefined) throw new ApiError('NOT_FOUND', 'Nothing is published for this organisation.');
  const blob = await deps.blobs.get(TIMESTAMP_KEY);
  const timestamp = blob && (await collect(blob.body, TIMESTAMP_KEY));
  if (blob === undefined || timestamp === undefined || isKnown(row, timestamp)) {
    return { fenced: false, over: row.timestamp_version, roles: [], added: [], changed: [], yanked: [] };
  }
  const { set, current } = await walk(deps, row, timestamp);
  const over = { timestamp: set.timestamp.version, snapshot: set.snapshot.version };
  requireNotOlder(row, set, current);
  const candidate = await candidateOf(deps, row, set, current);
  // They were verified when they were published; meanwhile the policy may refuse what is listed still.
  const changes = await reviewReleases(deps, trx, candidate, { verified: true });
  return { row, tag: blob.stat.etag, timestamp, current, over, candidate, changes };
}

/**
 * The store as a charger reads it that trusts what the database says. What has expired meanwhile was published all the same, and people can sign
 * again what is theirs only once this service publishes: so everything is judged at the time 0.
 */
async function walk(
  { blobs }: PublishingDeps,
  row: Row<'repository'>,
  timestamp: Buffer,
): Promise<{ set: TrustedSet; current: Current }> {
  let root = await readBlob(blobs, metadataKey('root', row.root_version));
  const set = TrustedSet.start(root);
  for (;;) {
    const next = await findBlob(blobs, metadataKey('root', set.root.version + 1));
    if (next === undefined) break;
    set.updateRoot(next);
    root = next;
  }
  set.updateTimestamp(timestamp, 0);
  const snapshot = await readBlob(blobs, metadataKey('snapshot', set.timestamp.snapshot.version));
  set.updateSnapshot(snapshot, 0);
  const roles = rolesIn(snapshot);
  const targets = await readBlob(blobs, metadataKey('targets', versionOf(set, 'targets')));
  set.updateTargets(targets, 0);
  for (const product of delegatedBy(set)) {
    set.updateProductRole(product, await readBlob(blobs, metadataKey(product, versionOf(set, product))), 0);
  }
  const [policy, sigstoreRoot] = await Promise.all([
    readListed(blobs, targets, POLICY_TARGET),
    readListed(blobs, targets, SIGSTORE_ROOT_TARGET),
  ]);
  return { set, current: { row, documents: { root, targets, policy, sigstoreRoot }, roles } };
}

function delegatedBy(set: TrustedSet): string[] {
  return (set.targets.delegations?.roles ?? []).map(({ name }) => name);
}

function versionOf(set: TrustedSet, role: string): number {
  return set.snapshot.meta.get(`${role}.json`)?.version ?? 0;
}

/** A store that was restored itself knows less than the database: then it has to get back what it lacks, and nothing may follow from it. */
function requireNotOlder(row: Row<'repository'>, set: TrustedSet, { roles }: Current): void {
  const versions = [
    ['targets', row.targets_version, set.targets.version],
    ...Object.entries(row.roles).map(
      ([product, known]) => [product, known, roles.get(product)?.version ?? 0] as const,
    ),
  ] as const;
  const older = versions.find(([, known, stored]) => stored < known);
  if (older === undefined) return;
  const [role, known, stored] = older;
  throw new ApiError(
    'METADATA_REFUSED',
    `The store is older than the database (${role} ${stored}, known is ${known}): restore the store.`,
  );
}

async function candidateOf(
  deps: PublishingDeps,
  row: Row<'repository'>,
  set: TrustedSet,
  { documents, roles }: Current,
): Promise<Candidate> {
  const now = deps.clock.now();
  requireOnlineKeys(set, deps.keys);
  const last = Math.max(row.snapshot_version, set.snapshot.version);
  const snapshot = await makeSnapshot(
    { targets: documents.targets, products: roles },
    await freeVersion(deps, 'snapshot', nextOnlineVersion(last, now)),
    deps.keys.snapshot,
    now,
  );
  const before = Math.max(row.timestamp_version, set.timestamp.version);
  const timestamp = await makeTimestamp(
    snapshot.bytes,
    nextOnlineVersion(before, now),
    deps.keys.timestamp,
    now,
  );
  const delegated = delegatedBy(set);
  return {
    roots: [],
    documents,
    changedRoles: delegated.filter((product) => row.roles[product] !== versionOf(set, product)),
    redelegated: [],
    removed: Object.keys(row.roles).filter((product) => !delegated.includes(product)),
    versions: {
      root: set.root.version,
      targets: set.targets.version,
      roles: Object.fromEntries(delegated.map((product) => [product, versionOf(set, product)])),
    },
    snapshot,
    timestamp,
    set,
    policy: parsePolicy(documents.policy),
    newRoles: new Map(),
  };
}

function summary({ row, over, candidate: { versions, removed }, changes }: Found): TakeOver {
  const roles = [
    { role: 'root', from: row.root_version, to: versions.root },
    { role: 'timestamp', from: row.timestamp_version, to: over.timestamp },
    { role: 'snapshot', from: row.snapshot_version, to: over.snapshot },
    { role: 'targets', from: row.targets_version, to: versions.targets },
    ...Object.entries(versions.roles).map(([role, to]) => ({ role, from: row.roles[role] ?? 0, to })),
    ...removed.map((role) => ({ role, from: row.roles[role] ?? 0, to: 0 })),
  ];
  return {
    fenced: true,
    over: over.timestamp,
    roles: roles.filter(({ from, to }) => from !== to),
    added: changes.added.map(({ target }) => target.path),
    changed: changes.changed.map(({ target }) => target.path),
    yanked: changes.yanked.map(({ path }) => path),
  };
}

async function record(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  { row, tag, current, timestamp, candidate, changes }: Found,
  told: TakeOver,
  by: Publisher,
): Promise<void> {
  const at = new Date(deps.clock.now());
  await storeDocuments(deps, current, candidate, changes);
  await requireSettled(deps, tag);
  // The next look at the store finds this timestamp, and puts the new one in its place.
  const replaced = { ...current, row: { ...row, timestamp_json: timestamp.toString('utf8') } };
  await recordPublication(deps, trx, { current: replaced, candidate, changes, publisher: by, at });
  // The trust that the database knew may have been another: what rollouts bring is judged anew.
  const unknown = { ...current, documents: { ...current.documents, policy: Buffer.alloc(0) } };
  await markRefused(deps, trx, { current: unknown, candidate, changes });
  const { organisation } = deps;
  const { name: actor, reason, source } = by;
  const entry = { actor, action: 'repository.take-over', subject: 'repository', reason, source };
  await appendAudit(trx, organisation, [{ ...entry, detail: { ...told } }], at);
}
