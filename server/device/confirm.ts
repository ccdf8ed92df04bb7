import type { Transaction } from 'kysely';
import type { Confirm, ConfirmAnswer, DirectiveTarget } from '@tidegate/client-sdk/protocol';
import { IN_FLIGHT, type AssignmentState, type WaveStatus } from '@tidegate/rollout/core';
import type { RolloutRef } from '@tidegate/rollout/shell';
import { barredDigests, type Database, inTransaction } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import type { ChargerIdentity } from '../identity/index.ts';
import type { Held, Watched } from './check-in/batch.ts';
import { heldOf, lockRollouts } from './check-in/load.ts';
import { GOES_BACK } from './check-in/offer.ts';
import { apply, legOf } from './check-in/progress.ts';
import { requireNotBehind } from './behind.ts';
import { type DeviceDeps, deviceConfig } from './deps.ts';
import { type Wish, nextSequence, signDirective } from './directive.ts';
import { repositoryState } from './repository-state.ts';

/** Steps in which what was offered may still be activated; stragglers of a passed step too. */
const ACTIVATABLE: ReadonlySet<WaveStatus | undefined> = new Set(['OPEN', 'SOAKING', 'GATE', 'PASSED']);

export interface Confirmed {
  answer: ConfirmAnswer;
  changed: RolloutRef[];
}

/**
 * The live confirmation right before a charger boots what it has staged. Design §3, "Directive"
 *
 * The rollout is held locked until this commits, so that once a halt has committed no `activate` is signed.
 * @throws ApiError `ASSIGNMENT_UNKNOWN`, `ACTIVATION_HELD`, `CHARGER_RETIRED`, `REPOSITORY_BEHIND`, `UNAVAILABLE`
 */
export function confirmActivation(
  deps: DeviceDeps,
  charger: ChargerIdentity,
  body: Confirm,
): Promise<Confirmed> {
  const { organisation } = deps;
  return inTransaction(deps.db, async (trx) => {
    const now = deps.clock.now();
    await requireNotBehind(trx, organisation, now);
    const { epoch } = await repositoryState(trx, organisation);
    const { charging, lastSequence } = await lockCharger(trx, charger);
    const { id, leg } = legOf(body.assignment);
    const { held, watched } = await lockAssignment(trx, charger, id);
    const verdict =
      leg === 'back'
        ? wayBackVerdict(held, watched, body.sha256)
        : forwardVerdict(held, watched, body.sha256);
    const barred = (await barredDigests(trx, organisation, [body.sha256])).get(body.sha256);
    const changed = new Set<string>();
    let wish: Wish = { action: 'withdraw', assignment: body.assignment, reason: barred ?? '' };
    if (verdict.kind === 'withdraw') wish = { ...wish, reason: verdict.reason };
    else if (barred === undefined) {
      if (verdict.kind === 'hold') throw new ApiError('ACTIVATION_HELD', verdict.reason);
      // Nothing ever interrupts a charging session, a rollback neither. Design §4
      if (charging) throw new ApiError('ACTIVATION_HELD', 'A charging session is active.');
      // From here on the charger is treated, whether or not it hears this answer.
      if (leg === 'forward') {
        await apply(trx, charger, held, { kind: 'activated' }, { organisation, now, changed });
        await noteConfirmed(trx, organisation, held.id, now);
      }
      wish = { action: 'activate', assignment: body.assignment, target: verdict.target };
    }
    const sequence = nextSequence(lastSequence, now);
    await trx
      .updateTable('chargers')
      .set({ last_sequence: sequence })
      .where('organisation', '=', organisation)
      .where('serial', '=', charger.serial)
      .execute();
    const to = { organisation, serial: charger.serial, nonce: body.nonce, epoch, sequence };
    const directive = await signDirective(deps.director, to, wish, now, deviceConfig(deps).activateSeconds);
    return { answer: { directive }, changed: [...changed].map((rollout) => ({ organisation, id: rollout })) };
  });
}

/** What the charger reports of this image counts from here on; without it, its word that it runs the image is no evidence. */
async function noteConfirmed(
  trx: Transaction<Database>,
  organisation: string,
  id: string,
  now: number,
): Promise<void> {
  await trx
    .updateTable('assignments')
    .set({ confirmed_at: new Date(now) })
    .where('organisation', '=', organisation)
    .where('id', '=', id)
    .where('confirmed_at', 'is', null)
    .execute();
}

type Verdict =
  | { kind: 'activate'; target: DirectiveTarget }
  /** Not now: the image stays staged, and the charger asks again. */
  | { kind: 'hold'; reason: string }
  /** Not ever: the charger drops it. */
  | { kind: 'withdraw'; reason: string };

function forwardVerdict(held: Held, { rollout }: Watched, sha256: string): Verdict {
  const { path, length, version } = rollout.release;
  if (sha256 !== rollout.release.sha256) return { kind: 'withdraw', reason: 'another image' };
  // Given up as silent: the next check-in asks for room for it again.
  if (held.state === 'LOST') return { kind: 'hold', reason: 'Its deadline has passed.' };
  if (!(IN_FLIGHT as readonly AssignmentState[]).includes(held.state)) {
    return { kind: 'withdraw', reason: held.state };
  }
  if (rollout.status === 'PAUSED') return { kind: 'hold', reason: 'The rollout is paused.' };
  if (rollout.status !== 'RUNNING' && rollout.status !== 'COMPLETED') {
    return { kind: 'withdraw', reason: rollout.status };
  }
  if (!ACTIVATABLE.has(rollout.steps[held.step]?.status)) return { kind: 'withdraw', reason: 'step closed' };
  return { kind: 'activate', target: { path, sha256, length, version } };
}

function wayBackVerdict(held: Held, { rollout }: Watched, sha256: string): Verdict {
  if (!GOES_BACK.has(rollout.status) || held.state !== 'ROLLING_BACK') {
    return { kind: 'withdraw', reason: `${rollout.status}, ${held.state}` };
  }
  if (held.fallback?.sha256 !== sha256) return { kind: 'withdraw', reason: 'another image' };
  if (held.backOfferedAt === null) return { kind: 'hold', reason: 'The site has no room for it now.' };
  const { path, length, version } = held.fallback;
  return { kind: 'activate', target: { path, sha256, length, version } };
}

async function lockCharger(
  trx: Transaction<Database>,
  charger: ChargerIdentity,
): Promise<{ charging: boolean; lastSequence: number }> {
  const row = await trx
    .selectFrom('chargers')
    .select(['charging', 'last_sequence'])
    .where('organisation', '=', charger.organisation)
    .where('serial', '=', charger.serial)
    .where('state', '=', 'ACTIVE')
    .where('certificate_sha256', '=', charger.certificateSha256)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (row === undefined) throw new ApiError('CHARGER_RETIRED', charger.serial);
  return { charging: row.charging, lastSequence: row.last_sequence };
}

async function lockAssignment(
  trx: Transaction<Database>,
  charger: ChargerIdentity,
  id: string,
): Promise<{ held: Held; watched: Watched }> {
  const find = () =>
    trx
      .selectFrom('assignments')
      .selectAll()
      .where('id', '=', id)
      .where('organisation', '=', charger.organisation)
      .where('serial', '=', charger.serial);
  const found = await find().executeTakeFirst();
  const [watched] = found === undefined ? [] : await lockRollouts(trx, charger.organisation, [found.rollout]);
  // Read again under both locks: a withdrawal may have come between.
  const row = watched === undefined ? undefined : await find().forUpdate().executeTakeFirst();
  if (row === undefined || watched === undefined) throw new ApiError('ASSIGNMENT_UNKNOWN', id);
  return { held: heldOf(row), watched };
}
