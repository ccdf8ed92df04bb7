/** What happens to a charger's rows when people expect, retire or replace it. Each runs inside the caller's transaction. */
import { createHash, randomBytes } from 'node:crypto';
import type { Transaction } from 'kysely';
import { cohortKey, OFFERABLE } from '@tidegate/rollout/core';
import { type Database, moveAssignment, type Row } from '../db/index.ts';
import { ApiError } from '../http/index.ts';

export interface Place {
  organisation: string;
  serial: string;
  product: string;
  hardware: string;
  site: string;
}

export interface Token {
  /** Given out once; only its SHA-256 is stored. */
  token: string;
  expiresAt: Date;
}

/**
 * A one-time token bound to a serial number, and the charger as `EXPECTED` where it is not known yet. It replaces every unused one of
 * that serial number, and what an earlier one said of a charger that has never enrolled: a wrong token is corrected by another.
 *
 * @throws ApiError `NOT_FOUND`, `WRONG_STATUS`, `ALREADY_EXISTS`
 */
export async function expectCharger(
  trx: Transaction<Database>,
  place: Place,
  by: string,
  times: { now: Date; expiresAt: Date },
): Promise<Token> {
  const stratum = await stratumOf(trx, place);
  const added = await trx
    .insertInto('chargers')
    .values({ ...place, state: 'EXPECTED', stratum, cohort_key: cohortKey(place.serial) })
    .onConflict((conflict) => conflict.doNothing())
    .returning('serial')
    .executeTakeFirst();
  if (added === undefined) await correctPlace(trx, place, stratum);
  await voidTokens(trx, place, times.now);
  const token = randomBytes(32).toString('base64url');
  await trx
    .insertInto('enrolment_tokens')
    .values({
      ...place,
      token_sha256: createHash('sha256').update(token, 'utf8').digest(),
      created_by: by,
      created_at: times.now,
      expires_at: times.expiresAt,
    })
    .execute();
  return { token, expiresAt: times.expiresAt };
}

/** `<hardware>/<site type>/<region>`: chargers of one stratum are exchangeable in a draw. */
async function stratumOf(trx: Transaction<Database>, place: Place): Promise<string> {
  const site = await trx
    .selectFrom('sites')
    .select(['type', 'region'])
    .where('organisation', '=', place.organisation)
    .where('id', '=', place.site)
    .executeTakeFirst();
  if (site === undefined) throw new ApiError('NOT_FOUND', `Site ${place.site}.`, { pointer: '/site' });
  return `${place.hardware}/${site.type}/${site.region}`;
}

/** One that has enrolled stays where it is; of one that never has, nothing is known but what people typed. */
async function correctPlace(trx: Transaction<Database>, place: Place, stratum: string): Promise<void> {
  const known = await lockCharger(trx, place);
  if (known.state === 'ACTIVE' || known.enrolled_at !== null) {
    requireSamePlace(known, place);
    return;
  }
  const { organisation, serial, product, hardware, site } = place;
  const isOther = known.product !== product || known.hardware !== hardware;
  await trx
    .updateTable('chargers')
    .set({ state: 'EXPECTED', product, hardware, site, stratum, replaced_by: null })
    // What it was adopted with was said of another charger.
    .$if(isOther, (update) =>
      update.set({ running_sha256: null, running_version: null, running_security_version: null }),
    )
    .where('organisation', '=', organisation)
    .where('serial', '=', serial)
    .execute();
}

/** A second token for a charger that enrolled is for the same charger, with a lost key. */
function requireSamePlace(known: Row<'chargers'>, place: Place): void {
  if (known.state === 'RETIRED') {
    throw new ApiError('WRONG_STATUS', `${place.serial} is retired.`, { pointer: '/serial' });
  }
  for (const field of ['product', 'hardware', 'site'] as const) {
    if (known[field] === place[field]) continue;
    throw new ApiError('ALREADY_EXISTS', `${place.serial} is enrolled with ${field} ${known[field]}.`, {
      pointer: `/${field}`,
    });
  }
}

async function voidTokens(
  trx: Transaction<Database>,
  { organisation, serial }: { organisation: string; serial: string },
  now: Date,
): Promise<void> {
  await trx
    .updateTable('enrolment_tokens')
    .set({ used_at: now })
    .where('organisation', '=', organisation)
    .where('serial', '=', serial)
    .where('used_at', 'is', null)
    .execute();
}

/** @throws ApiError `NOT_FOUND` */
export async function lockCharger(
  trx: Transaction<Database>,
  name: { organisation: string; serial: string },
): Promise<Row<'chargers'>> {
  const row = await trx
    .selectFrom('chargers')
    .selectAll()
    .where('organisation', '=', name.organisation)
    .where('serial', '=', name.serial)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) throw new ApiError('NOT_FOUND', `Charger ${name.serial}.`);
  return row;
}

/**
 * Takes a charger out of service for good: its certificate no longer counts, its unused tokens are void, and rollouts that have not
 * activated anything on it stop waiting for it.
 *
 * @throws ApiError `NOT_FOUND`, `WRONG_STATUS`
 */
export async function retireCharger(
  trx: Transaction<Database>,
  name: { organisation: string; serial: string },
  replacedBy: string | null,
  now: Date,
): Promise<Row<'chargers'>> {
  const charger = await lockCharger(trx, name);
  if (charger.state === 'RETIRED') throw new ApiError('WRONG_STATUS', `${name.serial} is retired already.`);
  await trx
    .updateTable('chargers')
    .set({ state: 'RETIRED', online: false, charging: false, replaced_by: replacedBy })
    .where('organisation', '=', name.organisation)
    .where('serial', '=', name.serial)
    .execute();
  await voidTokens(trx, name, now);
  await skipAssignments(trx, name, now);
  return charger;
}

async function skipAssignments(
  trx: Transaction<Database>,
  { organisation, serial }: { organisation: string; serial: string },
  at: Date,
): Promise<void> {
  const waiting = await trx
    .selectFrom('assignments')
    .select(['rollout', 'state'])
    .where('organisation', '=', organisation)
    .where('serial', '=', serial)
    .where('state', 'in', [...OFFERABLE])
    .forUpdate()
    .execute();
  const fields = { deadline_at: null, code: 'RETIRED', detail: 'The charger was retired.' };
  for (const { rollout, state } of waiting) {
    await moveAssignment(trx, { organisation, rollout, serial }, { from: state, to: 'SKIPPED', at, fields });
  }
}
