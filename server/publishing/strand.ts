/**
 * Publishing anything, a policy too, first re-verifies every running image and its fallbacks, and names what it would strand. Design §2.3
 * An image counts when chargers run it, when an unfinished rollout brings or brought it, or when a live fallback names it.
 */
import { type Transaction, sql } from 'kysely';
import { Refusal, type TrustPolicy } from '@tidegate/client-sdk/protocol';
import { parsePolicy, TrustedSet, verifyRelease } from '@tidegate/client-sdk/trust';
import { ApiError } from '../http/index.ts';
import type { Database, Row } from '../db/index.ts';
import { targetKey } from '@tidegate/signer/repository';
import type { Candidate } from './candidate.ts';
import { type Current, readBlob } from './current.ts';
import type { ReleaseChanges } from './releases.ts';
import type { PublishingDeps } from './types.ts';

/** A repository state as far as it decides whether an image is accepted. */
interface View {
  set: TrustedSet;
  policy: TrustPolicy;
  sigstoreRoot: Buffer;
}

/** @throws ApiError `WOULD_STRAND`, which names each image and why; those in `accepted` are let go. */
export async function requireNobodyStranded(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  states: { current: Current; candidate: Candidate; changes: ReleaseChanges },
  accepted: readonly string[],
  now: number,
): Promise<string[]> {
  const { current, candidate } = states;
  const after: View = { ...candidate, sigstoreRoot: candidate.documents.sigstoreRoot };
  const before = viewOf(current);
  const stranded: { path: string; code: string; detail: string }[] = [];
  // Verified with its new bundles already, which wait in staging still.
  const attested = new Set(states.changes.changed.map(({ target }) => target.path));
  for (const needed of await neededImages(deps, trx, states, now)) {
    if (attested.has(needed.row.path)) continue;
    const code = await refusalOf(deps, after, needed.row);
    if (code === undefined) continue;
    // What was lost before is not lost by this publication, which may be the first step of repairing it.
    if ((await refusalOf(deps, before, needed.row)) !== undefined) continue;
    stranded.push({ path: needed.row.path, code, detail: needed.because });
  }
  const refused = stranded.filter(({ path }) => !accepted.includes(path));
  if (refused.length === 0) return stranded.map(({ path }) => path);
  throw new ApiError('WOULD_STRAND', refused.map(({ path, detail }) => `${path}: ${detail}`).join('; '), {
    problems: refused.map(({ path, code, detail }) => ({ pointer: '', code, detail: `${path}: ${detail}` })),
  });
}

interface Needed {
  row: Row<'releases'>;
  because: string;
}

async function neededImages(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  states: { candidate: Candidate; changes: ReleaseChanges },
  now: number,
): Promise<Needed[]> {
  const releases = await trx
    .selectFrom('releases')
    .selectAll()
    .where('organisation', '=', deps.organisation)
    .execute();
  const running = await runningImages(trx, deps.organisation);
  const rollouts = await unfinishedRollouts(trx, deps.organisation);
  const yanked = new Set(states.changes.yanked.map(({ path }) => path));
  const needed = new Map<string, Needed>();
  for (const row of releases) {
    const chargers = running.get(`${row.product} ${row.sha256}`);
    const rollout = rollouts.get(`${row.product} ${row.version}`);
    if (chargers !== undefined) needed.set(row.path, { row, because: `${chargers} active chargers run it` });
    else if (rollout !== undefined) needed.set(row.path, { row, because: `rollout ${rollout} brings it` });
  }
  const byPath = new Map(releases.map((row) => [row.path, row]));
  const changed = new Map(states.changes.changed.map(({ target }) => [target.path, target.custom]));
  for (const row of releases) {
    // The way down of an image that nobody runs and nobody can be offered any more is nobody's way down.
    if (!needed.has(row.path) && (row.yanked_at !== null || yanked.has(row.path))) continue;
    for (const fallback of (changed.get(row.path) ?? row.custom).fallback) {
      const target = byPath.get(fallback.path);
      if (target === undefined || Date.parse(fallback.expires) <= now || needed.has(target.path)) continue;
      needed.set(target.path, { row: target, because: `it is a live fallback of ${row.path}` });
    }
  }
  return [...needed.values()];
}

async function runningImages(trx: Transaction<Database>, organisation: string): Promise<Map<string, number>> {
  const rows = await trx
    .selectFrom('chargers')
    .select(['product', 'running_sha256', sql<number>`count(*)`.as('chargers')])
    .where('organisation', '=', organisation)
    .where('state', '=', 'ACTIVE')
    .where('running_sha256', 'is not', null)
    .groupBy(['product', 'running_sha256'])
    .execute();
  return new Map(rows.map((row) => [`${row.product} ${row.running_sha256}`, row.chargers]));
}

async function unfinishedRollouts(
  trx: Transaction<Database>,
  organisation: string,
): Promise<Map<string, string>> {
  const rows = await trx
    .selectFrom('rollouts')
    .select(['id', 'product', 'version'])
    .where('organisation', '=', organisation)
    .where('status', 'in', ['AWAITING_APPROVAL', 'SCHEDULED', 'RUNNING', 'PAUSED', 'HALTED', 'ROLLING_BACK'])
    .execute();
  return new Map(rows.map((row) => [`${row.product} ${row.version}`, row.id]));
}

/** @returns the code with which a charger would refuse the image, or undefined when it accepts it. */
async function refusalOf(
  deps: PublishingDeps,
  view: View,
  row: Row<'releases'>,
): Promise<string | undefined> {
  try {
    const target = view.set.productTarget(row.product, row.path);
    verifyRelease({
      target,
      bundles: await Promise.all(
        target.custom.bundles.map(({ path, sha256 }) => readBlob(deps.blobs, targetKey(path, sha256))),
      ),
      product: row.product,
      policy: view.policy,
      sigstoreRoot: view.sigstoreRoot,
    });
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

/** The published state as chargers have it, whatever has expired since: time 0 judges nothing expired. */
function viewOf(current: Current): View {
  const { documents, row, snapshot } = current;
  const set = TrustedSet.start(documents.root);
  set.updateTimestamp(Buffer.from(row.timestamp_json), 0);
  set.updateSnapshot(snapshot, 0);
  set.updateTargets(documents.targets, 0);
  for (const [product, bytes] of documents.roles) set.updateProductRole(product, bytes, 0);
  return { set, policy: parsePolicy(documents.policy), sigstoreRoot: documents.sigstoreRoot };
}
