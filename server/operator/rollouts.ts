/** What people do to a rollout: the core decides, one transaction keeps the decision, then the doorbell rings. */
import { createHash, randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { sql } from 'kysely';
import {
  createRollout,
  decide,
  dueAt,
  parsePlan,
  type PlanProblem,
  type Rollout,
  type RolloutEffect,
} from '@tidegate/rollout/core';
import type { AuditEntry, RolloutRef } from '@tidegate/rollout/shell';
import type { Row } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import { loadProvenance, requireIndependent } from '../identity/index.ts';
import { requireAccepted } from '../publishing/index.ts';
import { audited } from './change.ts';
import { belowExposureFloor, belowFloor } from './plan-floor.ts';
import type { Call } from './route.ts';
import { findRelease } from './routes/releases.ts';

type AnyCall = Call<unknown, unknown, unknown>;
export type PersonAction = 'submit' | 'approve' | 'pause' | 'resume' | 'halt' | 'rollback' | 'cancel';

export interface Stored {
  rollout: Rollout;
  revision: number;
}

/**
 * A rollout in `DRAFT`. Its author is whoever the credential belongs to.
 *
 * @throws ApiError `PRODUCT_UNKNOWN`, `RELEASE_UNKNOWN`, `RELEASE_YANKED`, `RELEASE_DEPRECATED`, `PLAN_INVALID` with every problem and its
 *   pointer; Refusal where every charger would refuse the release: `DENIED`, `BELOW_EMERGENCY_FLOOR`, `BUILDER_REVOKED` …
 */
export async function create(
  call: AnyCall,
  wanted: { product: string; version: string; plan: unknown; seed?: string | undefined },
): Promise<Stored> {
  const { organisation, name: author } = call.operator;
  const release = await findRelease(call.deps.db, { organisation, ...wanted });
  await requireWanted(call, release);
  const parsed = parsePlan(wanted.plan);
  if (!parsed.ok) throw planInvalid(parsed.problems);
  const low = belowFloor(parsed.plan);
  if (low.length > 0) throw planInvalid(low);
  const { product, version, path, sha256, length } = release;
  const created = createRollout({
    id: newId(call),
    organisation,
    product,
    release: { path, version, sha256, length },
    author,
    plan: parsed.plan,
    seed: wanted.seed ?? randomBytes(16).toString('hex'),
    population: await population(call, product),
    now: call.now,
  });
  if (!created.ok) throw planInvalid(created.problems);
  const thin = belowExposureFloor(created.rollout);
  if (thin.length > 0) throw planInvalid(thin);
  if (await insert(call, created.rollout)) return load(call, created.rollout.id);
  return sameAsBefore(call, created.rollout, wanted.seed);
}

/**
 * Nobody is brought to a release that no charger takes any more.
 * @throws ApiError `RELEASE_YANKED`; Refusal
 */
async function requireOfferable(call: AnyCall, release: Row<'releases'>): Promise<void> {
  const { product, version, yanked_at, organisation } = release;
  if (yanked_at !== null) throw new ApiError('RELEASE_YANKED', `${product} ${version}`);
  await requireAccepted({ ...call.deps.publishing, organisation }, release);
}

/**
 * Nor is anything begun with one that its engineers advise against.
 * @throws ApiError `RELEASE_YANKED`, `RELEASE_DEPRECATED`; Refusal
 */
async function requireWanted(call: AnyCall, release: Row<'releases'>): Promise<void> {
  await requireOfferable(call, release);
  const { deprecated } = release.custom;
  if (deprecated === undefined) return;
  throw new ApiError('RELEASE_DEPRECATED', `${release.product} ${release.version}: ${deprecated}`);
}

/** What is asked of the release before a person lets its rollout begin or go on. */
const ASKED: Partial<Record<PersonAction, typeof requireOfferable>> = {
  submit: requireWanted,
  approve: requireOfferable,
  resume: requireOfferable,
};

/**
 * The rollout that an earlier request under the same key made; its answer was lost.
 * @throws ApiError `IDEMPOTENCY_MISMATCH`
 */
async function sameAsBefore(call: AnyCall, wanted: Rollout, seed: string | undefined): Promise<Stored> {
  const found = await load(call, wanted.id);
  const what = ({ product, release, plan }: Rollout): unknown => ({ product, release, plan });
  const same = isDeepStrictEqual(what(found.rollout), what(wanted));
  if (same && (seed === undefined || seed === found.rollout.seed)) return found;
  throw new ApiError('IDEMPOTENCY_MISMATCH', `The key belongs to rollout ${wanted.id}.`);
}

function planInvalid(problems: PlanProblem[]): ApiError {
  const placed = problems.map((problem) => ({ ...problem, pointer: `/plan${problem.pointer}` }));
  const [first] = placed;
  return new ApiError('PLAN_INVALID', first === undefined ? 'No plan.' : `${first.code}: ${first.detail}`, {
    ...(first === undefined ? {} : { pointer: first.pointer }),
    problems: placed,
  });
}

/** With an `Idempotency-Key` the id follows from it, so that a repetition finds the rollout instead of making another. */
export function newId(call: AnyCall): string {
  const day = new Date(call.now).toISOString().slice(0, 10).replaceAll('-', '');
  const { organisation, name } = call.operator;
  const key = call.idempotencyKey;
  const bytes =
    key === undefined
      ? randomBytes(32)
      : createHash('sha256')
          .update(JSON.stringify([organisation, name, key]))
          .digest();
  const word = bytes.readUIntBE(0, 6).toString(36).padStart(10, '0');
  return `r-${day}-${word}`;
}

/** Counted along the index that cohorts are drawn from. */
async function population(call: AnyCall, product: string): Promise<number> {
  const { chargers } = await call.deps.db
    .selectFrom('chargers')
    .select(({ fn }) => fn.countAll<number>().as('chargers'))
    .where('organisation', '=', call.operator.organisation)
    .where('product', '=', product)
    .where('state', '=', 'ACTIVE')
    .executeTakeFirstOrThrow();
  return chargers;
}

/** @returns whether it was not there before. */
async function insert(call: AnyCall, rollout: Rollout): Promise<boolean> {
  const { organisation, id, product, release, plan, population: chargers, seed } = rollout;
  return audited(call, async (trx) => {
    const added = await trx
      .insertInto('rollouts')
      .values({
        organisation,
        id,
        product,
        version: release.version,
        status: rollout.status,
        revision: 1,
        state: JSON.stringify(rollout),
        mean_rates: sql`(${meanRates(organisation, product)})`,
        earlier: sql`(${earlierSums(organisation, product)})`,
        due_at: null,
        created_at: new Date(call.now),
      })
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .executeTakeFirst();
    const detail = { version: release.version, plan, seed, population: chargers };
    const audit = { action: 'rollout.create', subject: id, detail };
    return { value: added !== undefined, audit: added === undefined ? null : audit };
  });
}

/** Events over exposure of the selected chargers before the rollout, by signal: λ̄ of the weights. Design §5 */
function meanRates(organisation: string, product: string) {
  return sql<string>`
    select coalesce(jsonb_object_agg(signal, rate), '{}') from (
      select b.key as signal, sum((b.value ->> 0)::float8) / sum((b.value ->> 1)::float8) as rate
      from chargers c, jsonb_each(c.baseline) b
      where c.organisation = ${organisation} and c.product = ${product} and c.state = 'ACTIVE'
      group by b.key
      having sum((b.value ->> 1)::float8) > 0
    ) rates`;
}

/** The events and the exposure themselves: what the detector falls back on where no charger without the release is left. Design §5 */
function earlierSums(organisation: string, product: string) {
  return sql<string>`
    select coalesce(jsonb_object_agg(signal, jsonb_build_array(events, exposure)), '{}') from (
      select b.key as signal, sum((b.value ->> 0)::float8) as events, sum((b.value ->> 1)::float8) as exposure
      from chargers c, jsonb_each(c.baseline) b
      where c.organisation = ${organisation} and c.product = ${product} and c.state = 'ACTIVE'
      group by b.key
    ) sums`;
}

/** @throws ApiError `NOT_FOUND`, for another organisation's rollout too */
export async function load(call: Pick<AnyCall, 'deps' | 'operator'>, id: string): Promise<Stored> {
  const found = await call.deps.store.load({ organisation: call.operator.organisation, id });
  if (found === undefined) throw new ApiError('NOT_FOUND', `Rollout ${id}.`);
  return found;
}

const ATTEMPTS = 5;

/**
 * One decision of a person. Read again and decided again where a worker committed first.
 *
 * @throws ApiError `NOT_FOUND`, `PRECONDITION_FAILED`, `CONFLICT`, or the core's own refusal: `WRONG_STATUS`, `AUTHOR_CANNOT_APPROVE`,
 *   `ALREADY_APPROVED`, `NOTHING_TO_APPROVE`; `NOT_INDEPENDENT` where the approver counts as the author or as an earlier approver;
 *   as `create` where the release is not to be brought to anybody any more
 */
export async function act(call: AnyCall, id: string, kind: PersonAction): Promise<Stored> {
  const ref = { organisation: call.operator.organisation, id };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = await load(call, id);
    if (call.ifMatch !== undefined && call.ifMatch !== String(found.revision)) {
      throw new ApiError('PRECONDITION_FAILED', `It is at revision ${found.revision} now.`);
    }
    if (kind === 'approve') await requireAnotherPerson(call, found.rollout);
    const { product, release } = found.rollout;
    const wanted = { organisation: ref.organisation, product, version: release.version };
    await ASKED[kind]?.(call, await findRelease(call.deps.db, wanted));
    const now = call.deps.clock.now();
    const event = { kind, by: call.operator.name, reason: call.actor.reason };
    const decision = decide(found.rollout, event, now);
    if (!decision.ok) throw new ApiError(decision.code, decision.detail);
    const committed = await call.deps.store.commit({
      rollout: decision.rollout,
      revision: found.revision,
      effects: decision.effects.filter((effect) => effect.kind !== 'wake'),
      audit: [auditOf(call, id, kind, found.rollout, decision)],
      due: nextLook(decision.rollout, decision.effects, now),
    });
    if (committed === 'conflict') continue;
    await ring(call, ref);
    return load(call, id);
  }
  throw new ApiError('CONFLICT', `Rollout ${id} keeps changing.`);
}

/** The core tells names apart; that two names are two people is decided here. */
async function requireAnotherPerson(call: AnyCall, rollout: Rollout): Promise<void> {
  const { organisation, name } = call.operator;
  const gate = rollout.steps[rollout.current]?.approvals ?? [];
  const approvals = rollout.status === 'AWAITING_APPROVAL' ? rollout.approvals : gate;
  const wrote = [rollout.author, rollout.sentForwardBy ?? rollout.author];
  const others = [...wrote, ...approvals.map(({ by }) => by)].filter((other) => other !== name);
  requireIndependent(name, others, await loadProvenance(call.deps.db, organisation));
}

/** Committed already: a bell that does not ring is made good by the sweeper. */
async function ring(call: AnyCall, ref: RolloutRef): Promise<void> {
  await call.deps.doorbell.ring(ref).catch(() => undefined);
}

function auditOf(
  call: AnyCall,
  id: string,
  kind: PersonAction,
  before: Rollout,
  { rollout, notes }: { rollout: Rollout; notes: string[] },
): AuditEntry {
  const detail = { from: before.status, to: rollout.status, step: rollout.current, notes };
  return { ...call.actor, action: `rollout.${kind}`, subject: id, detail };
}

/** The earlier of what the core asks for and what the state makes due. */
function nextLook(rollout: Rollout, effects: RolloutEffect[], now: number): number | null {
  const wakes = effects.flatMap((effect) => (effect.kind === 'wake' ? [effect.at] : []));
  const due = dueAt(rollout, now);
  const all = due === null ? wakes : [due, ...wakes];
  return all.length === 0 ? null : Math.min(...all);
}
