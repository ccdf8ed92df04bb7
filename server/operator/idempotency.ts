/**
 * `Idempotency-Key`: a request that is sent twice is carried out once. The answer is kept after the change has committed; should the
 * service die in between, the repetition meets the changed state and is refused by its own rules (`ALREADY_EXISTS`, `WRONG_STATUS`,
 * `ALREADY_APPROVED`), never carried out twice. A new rollout's id follows from the key for the same reason.
 */
import { createHash } from 'node:crypto';
import { ApiError } from '../http/index.ts';
import type { Call } from './route.ts';

type AnyCall = Call<unknown, unknown, unknown>;

export interface KeptAnswer {
  status: number;
  /** Null where the answer held a secret. */
  body: unknown;
}

/** @throws ApiError `IDEMPOTENCY_MISMATCH` for another request under a used key; `ALREADY_EXISTS` where the answer was a secret. */
export async function repeated(call: AnyCall, url: string): Promise<KeptAnswer | undefined> {
  if (call.idempotencyKey === undefined) return undefined;
  const kept = await call.deps.db
    .selectFrom('idempotency_keys')
    .select(['request_sha256', 'status', 'body'])
    .where('organisation', '=', call.operator.organisation)
    .where('actor', '=', call.operator.name)
    .where('key', '=', call.idempotencyKey)
    .executeTakeFirst();
  if (kept === undefined) return undefined;
  if (!kept.request_sha256.equals(requestSha256(call, url))) {
    throw new ApiError('IDEMPOTENCY_MISMATCH', 'The key belongs to an earlier request.');
  }
  if (kept.body === null) {
    throw new ApiError('ALREADY_EXISTS', 'This was carried out; the secret in its answer is shown once.');
  }
  return { status: kept.status, body: kept.body };
}

export async function remember(call: AnyCall, url: string, answer: KeptAnswer): Promise<void> {
  if (call.idempotencyKey === undefined) return;
  await call.deps.db
    .insertInto('idempotency_keys')
    .values({
      organisation: call.operator.organisation,
      actor: call.operator.name,
      key: call.idempotencyKey,
      request_sha256: requestSha256(call, url),
      status: answer.status,
      body: JSON.stringify(answer.body),
      created_at: new Date(call.now),
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

function requestSha256(call: AnyCall, url: string): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([url, call.actor.reason, call.body]))
    .digest();
}
