/** What the database remembers of a publication: only what it changed. */
import { sql, type Transaction } from 'kysely';
import type { ReleaseTarget } from '@tidegate/client-sdk/protocol';
import type { Database, NewRow, Row } from '../db/index.ts';
import type { Candidate } from './candidate.ts';
import { type Current, sha256Of } from './current.ts';
import type { ReleaseChanges } from './releases.ts';
import { nextDue } from './schedule.ts';
import type { Publisher, PublishingDeps } from './types.ts';

/** Rows of one insert; PostgreSQL takes 65,535 values. */
const ROWS = 1000;

export async function recordPublication(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  publication: {
    current: Current | undefined;
    candidate: Candidate;
    changes: ReleaseChanges;
    publisher: Publisher;
    at: Date;
  },
): Promise<void> {
  const { current, candidate, changes, publisher, at } = publication;
  const { organisation } = deps;
  await trx
    .insertInto('organisations')
    .values({ id: organisation, name: organisation, created_at: at })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await recordProducts(deps, trx, candidate, at);
  const rows = changes.added.map(({ product, target }): NewRow<'releases'> => ({
    organisation,
    product,
    ...releaseColumns(target),
    role_version: candidate.versions.roles[product] ?? 0,
    published_by: publisher.name,
    published_at: at,
  }));
  for (let i = 0; i < rows.length; i += ROWS) {
    await trx
      .insertInto('releases')
      .values(rows.slice(i, i + ROWS))
      .execute();
  }
  for (const { target } of changes.changed) {
    await trx
      .updateTable('releases')
      .set({ custom: JSON.stringify(target.custom), yanked_at: null, collected_at: null })
      .where('organisation', '=', organisation)
      .where('path', '=', target.path)
      .execute();
  }
  if (changes.yanked.length > 0) {
    const paths = changes.yanked.map(({ path }) => path);
    await trx
      .updateTable('releases')
      .set({ yanked_at: at })
      .where('organisation', '=', organisation)
      .where('path', 'in', paths)
      .execute();
  }
  await recordRepository(deps, trx, { current, candidate, at });
}

async function recordProducts(
  { organisation }: PublishingDeps,
  trx: Transaction<Database>,
  candidate: Candidate,
  at: Date,
): Promise<void> {
  if (candidate.changedRoles.length === 0) return;
  const products = candidate.changedRoles.map((product) => ({
    organisation,
    id: product,
    hardware: hardwareOf(candidate, product),
    created_at: at,
  }));
  await trx
    .insertInto('products')
    .values(products)
    .onConflict((conflict) =>
      conflict.columns(['organisation', 'id']).doUpdateSet({ hardware: sql`excluded.hardware` }),
    )
    .execute();
}

/** Every hardware that a listed release fits. */
function hardwareOf(candidate: Candidate, product: string): string[] {
  const { targets } = candidate.set.productRole(product);
  const all = [...targets.keys()].flatMap(
    (path) => candidate.set.productTarget(product, path).custom.hardware,
  );
  return [...new Set(all)].sort();
}

function releaseColumns(
  target: ReleaseTarget,
): Pick<NewRow<'releases'>, 'version' | 'path' | 'sha256' | 'length' | 'security_version' | 'custom'> {
  const { path, sha256, length, custom } = target;
  return {
    version: custom.version,
    path,
    sha256,
    length,
    security_version: custom.securityVersion,
    custom: JSON.stringify(custom),
  };
}

async function recordRepository(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  { current, candidate, at }: { current: Current | undefined; candidate: Candidate; at: Date },
): Promise<void> {
  const before = current?.row.timestamp_json;
  const columns = {
    root_version: candidate.versions.root,
    targets_version: candidate.versions.targets,
    snapshot_version: candidate.snapshot.version,
    timestamp_version: candidate.timestamp.version,
    timestamp_json: candidate.timestamp.bytes.toString('utf8'),
    timestamp_expires_at: new Date(candidate.timestamp.expires),
    snapshot_due_at: nextDue('snapshot', candidate.snapshot.expires, deps.random),
    timestamp_due_at: nextDue('timestamp', candidate.timestamp.expires, deps.random),
    previous_timestamp_sha256: before === undefined ? null : sha256Of(Buffer.from(before)),
    policy: JSON.stringify(candidate.policy),
    roles: JSON.stringify(candidate.versions.roles),
    updated_at: at,
  };
  await trx
    .insertInto('repository')
    .values({ organisation: deps.organisation, ...columns })
    .onConflict((conflict) => conflict.column('organisation').doUpdateSet(columns))
    .execute();
  await recordTimestamp(trx, deps.organisation, { ...columns, roles: candidate.versions.roles, at });
}

/** Remembers what a timestamp leads to, so that it can be told one day what none leads to any more. */
export async function recordTimestamp(
  trx: Transaction<Database>,
  organisation: string,
  led: Pick<Row<'repository'>, 'timestamp_version' | 'snapshot_version' | 'targets_version' | 'roles'> & {
    at: Date;
  },
): Promise<void> {
  const { timestamp_version: version, snapshot_version, targets_version, roles, at } = led;
  await trx
    .insertInto('timestamps')
    .values({ organisation, version, at, snapshot_version, targets_version, roles: JSON.stringify(roles) })
    .execute();
}
