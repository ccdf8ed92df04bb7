import type { Request, RequestHandler, Response } from 'express';
import { sql } from 'kysely';
import type { AuditEntry } from '@tidegate/rollout/shell';
import { appendAudit } from '../audit/index.ts';
import { type Db, inTransaction } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import { newCredential, parseCredential, sameSecret, secretSha256, writeCredential } from './credential.ts';
import type { Operator, Role } from './roles.ts';

const BEARER = /^Bearer +(\S{1,200}) *$/i;
/** Compared against when a credential is unknown, so that unknown and wrong take the same time. */
const NOBODY = Buffer.alloc(32);

/**
 * Who presents this `Authorization` header.
 * @throws ApiError `CREDENTIAL_MISSING`, `CREDENTIAL_INVALID`, `CREDENTIAL_REVOKED`
 */
export async function authenticateOperator(db: Db, authorization: string | undefined): Promise<Operator> {
  if (authorization === undefined)
    throw new ApiError('CREDENTIAL_MISSING', 'No Authorization header.', CHALLENGE);
  const credential = parseCredential(BEARER.exec(authorization)?.[1] ?? '');
  if (credential === undefined) {
    throw new ApiError('CREDENTIAL_INVALID', 'The Authorization header is not of that form.', CHALLENGE);
  }
  const row = await db
    .selectFrom('operators')
    .select(['organisation', 'name', 'roles', 'secret_sha256', 'revoked_at'])
    .where('credential_id', '=', credential.id)
    .executeTakeFirst();
  // Unknown id and wrong secret look the same, or ids could be found out one by one.
  if (!sameSecret(credential.secret, row?.secret_sha256 ?? NOBODY) || row === undefined) {
    throw new ApiError('CREDENTIAL_INVALID', 'No such credential.', CHALLENGE);
  }
  if (row.revoked_at !== null) throw new ApiError('CREDENTIAL_REVOKED', 'Revoked.', CHALLENGE);
  return { organisation: row.organisation, name: row.name, roles: row.roles };
}

/** RFC 9110 §11.6.1: a 401 names the scheme. */
const CHALLENGE = { headers: { 'WWW-Authenticate': 'Bearer' } };

/** Lets nobody past without a valid credential; `operatorOf` then says who it is. */
export function requireOperator(db: Db): RequestHandler {
  return async (request: Request, response: Response, next) => {
    response.locals['operator'] = await authenticateOperator(db, request.headers.authorization);
    next();
  };
}

/** The operator that `requireOperator` let past. */
export function operatorOf(response: Response): Operator {
  const operator = response.locals['operator'] as Operator | undefined;
  // A router mounted without the guard must fail closed, not run as nobody.
  if (operator === undefined)
    throw new ApiError('CREDENTIAL_MISSING', 'Nobody was authenticated.', CHALLENGE);
  return operator;
}

/** Who changes something, why, and from where. */
export type Actor = Pick<AuditEntry, 'actor' | 'reason' | 'source'>;

/**
 * Adds an operator and returns the credential, `<id>.<secret>`. It is shown this once: only its hash is stored.
 * @throws ApiError `ALREADY_EXISTS`: a name stays taken after revocation, so that the audit log names one person by it.
 */
export async function addOperator(
  db: Db,
  who: { organisation: string; name: string; roles: readonly Role[] },
  by: Actor,
  at: Date,
): Promise<string> {
  const credential = newCredential();
  await inTransaction(db, async (trx) => {
    const added = await trx
      .insertInto('operators')
      .values({
        ...who,
        roles: [...who.roles],
        credential_id: credential.id,
        secret_sha256: secretSha256(credential.secret),
        created_at: at,
        added_by: by.actor,
      })
      .onConflict((conflict) => conflict.columns(['organisation', 'name']).doNothing())
      .executeTakeFirst();
    if (added.numInsertedOrUpdatedRows === 0n) throw new ApiError('ALREADY_EXISTS', `Operator ${who.name}.`);
    const detail = { roles: who.roles, credentialId: credential.id };
    await appendAudit(
      trx,
      who.organisation,
      [{ ...by, action: 'operator.add', subject: who.name, detail }],
      at,
    );
  });
  return writeCredential(credential);
}

/**
 * Refuses an operator's credential from now on. Revoking twice changes nothing.
 * @throws ApiError `NOT_FOUND`; `LAST_ADMIN`: without an admin nobody could ever add another person.
 */
export async function revokeOperator(
  db: Db,
  who: { organisation: string; name: string },
  by: Actor,
  at: Date,
): Promise<void> {
  await inTransaction(db, async (trx) => {
    // All admins are locked, in one order: two of them who revoke each other at the same moment would both be gone.
    const rows = await trx
      .selectFrom('operators')
      .select(['name', 'roles', 'revoked_at'])
      .where('organisation', '=', who.organisation)
      .where((where) =>
        where.or([where('name', '=', who.name), sql<boolean>`'admin' = any(roles) and revoked_at is null`]),
      )
      .orderBy('name')
      .forUpdate()
      .execute();
    const row = rows.find(({ name }) => name === who.name);
    if (row === undefined) throw new ApiError('NOT_FOUND', `Operator ${who.name}.`);
    if (row.revoked_at !== null) return;
    const admins = rows.filter(({ roles, revoked_at }) => roles.includes('admin') && revoked_at === null);
    if (row.roles.includes('admin') && admins.length === 1) throw new ApiError('LAST_ADMIN', who.name);
    await trx
      .updateTable('operators')
      .set({ revoked_at: at })
      .where('organisation', '=', who.organisation)
      .where('name', '=', who.name)
      .execute();
    const entry = { ...by, action: 'operator.revoke', subject: who.name, detail: {} };
    await appendAudit(trx, who.organisation, [entry], at);
  });
}
