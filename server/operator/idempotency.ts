/**
 * `Idempotency-Key`: a POST that is sent twice is carried out once. Other methods are idempotent by themselves, so their key is not read.
 *
 * The key is claimed, with a hash of the request, before anything is carried out: of two requests at the same moment one claims it, and the
 * other is refused. The answer is kept after the change has committed. Should the service die in between, the claim runs out, the
 * repetition meets the changed state and is refused by its own rules (`ALREADY_EXISTS`, `WRONG_STATUS`, `ALREADY_APPROVED`), never
 * carried out twice. A new rollout's id follows from the key for the same reason.
 */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import type { Call } from './route.ts';

type AnyCall = Call<unknown, unknown, unknown>;

export interface KeptAnswer {
  status: number;
  /** Null where the answer held a secret. */
  body: unknown;
}

/** Nobody takes up a claimed request again before this, in seconds of the database's clock; what takes longer is safe by its own rules. */
const HELD_SECONDS = 10;
/** So long a request can be repeated under its key; later the rules of the changed state refuse it. */
const REMEMBERED_DAYS = 7;

/**
 * Claims the key of a request for as long as it is carried out.
 *
 * @returns the kept answer where it was carried out already; undefined where it is to be carried out now.
 * @throws ApiError `IDEMPOTENCY_MISMATCH` for another request under a used key; `IDEMPOTENCY_IN_PROGRESS`; `ALREADY_EXISTS` where
 *   the answer was a secret
 */
export async function claim(call: AnyCall, url: string): Promise<KeptAnswer | undefined> {
  if (call.idempotencyKey === undefined) return undefined;
  const { rows } = await sql<{ mine: boolean }>`
    insert into idempotency_keys (organisation, actor, key, request_sha256, created_at, held_until)
    values (${call.operator.organisation}, ${call.operator.name}, ${call.idempotencyKey},
      ${requestSha256(call, url)}, ${new Date(call.now)}, now() + make_interval(secs => ${HELD_SECONDS}))
    on conflict (organisation, actor, key) do update set held_until = excluded.held_until
      where idempotency_keys.status is null and idempotency_keys.held_until < now()
        and idempotency_keys.request_sha256 = excluded.request_sha256
    returning true as mine`.execute(call.deps.db);
  return rows.length > 0 ? undefined : kept(call, url);
}

async function kept(call: AnyCall, url: string): Promise<KeptAnswer> {
  const found = await call.deps.db
    .selectFrom('idempotency_keys')
    .select(['request_sha256', 'status', 'body'])
    .where('organisation', '=', call.operator.organisation)
    .where('actor', '=', call.operator.name)
    .where('key', '=', call.idempotencyKey ?? '')
    .executeTakeFirst();
  if (found !== undefined && !found.request_sha256.equals(requestSha256(call, url))) {
    throw new ApiError('IDEMPOTENCY_MISMATCH', 'The key belongs to an earlier request.');
  }
  // Gone again: the other one was refused this very moment.
  if (found === undefined || found.status === null) {
    const headers = { 'Retry-After': '1' };
    throw new ApiError('IDEMPOTENCY_IN_PROGRESS', 'The same request is under way.', { headers });
  }
  if (found.body === null) {
    throw new ApiError('ALREADY_EXISTS', 'This was carried out; the secret in its answer is shown once.');
  }
  return { status: found.status, body: found.body };
}

export async function remember(call: AnyCall, answer: KeptAnswer): Promise<void> {
  if (call.idempotencyKey === undefined) return;
  await call.deps.db
    .updateTable('idempotency_keys')
    .set({ status: answer.status, body: answer.body === null ? null : JSON.stringify(answer.body) })
    .where('organisation', '=', call.operator.organisation)
    .where('actor', '=', call.operator.name)
    .where('key', '=', call.idempotencyKey)
    .execute();
}

/** Gives the key back after a refusal: what was refused may be sent again, corrected or not. */
export async function release(call: AnyCall): Promise<void> {
  if (call.idempotencyKey === undefined) return;
  await call.deps.db
    .deleteFrom('idempotency_keys')
    .where('organisation', '=', call.operator.organisation)
    .where('actor', '=', call.operator.name)
    .where('key', '=', call.idempotencyKey)
    .where('status', 'is', null)
    .execute();
}

/** Forgets the keys of more than `REMEMBERED_DAYS` ago, so that the table does not grow with the service's age. */
export async function forgetKeys(db: Db, organisation: string, now: number): Promise<void> {
  await db
    .deleteFrom('idempotency_keys')
    .where('organisation', '=', organisation)
    .where('created_at', '<', new Date(now - REMEMBERED_DAYS * 24 * 60 * 60_000))
    .execute();
}

function requestSha256(call: AnyCall, url: string): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([url, call.actor.reason, call.body]))
    .digest();
}
