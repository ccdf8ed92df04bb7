import { createHash } from 'node:crypto';
import type { Transaction } from 'kysely';
import type { EnrolAnswer, EnrolRequest } from '@tidegate/client-sdk/protocol';
import { appendAudit } from '../audit/index.ts';
import { type Database, type Db, type Row, inTransaction } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import type { IssuedCertificate } from '../identity/index.ts';
import type { DeviceDeps } from './deps.ts';

/**
 * Gives a charger its certificate for a one-time token. The token says who it is; the request only proves that the charger holds
 * the key and knows its own label.
 *
 * A refusal leaves the token as it is, so that a typing error does not cost one.
 * @param source where the request came from, for the audit log.
 * @throws ApiError `TOKEN_UNKNOWN`, `TOKEN_USED`, `TOKEN_EXPIRED`, `TOKEN_MISMATCH`, `CHARGER_RETIRED`, `CSR_INVALID`
 */
export async function enrol(deps: DeviceDeps, request: EnrolRequest, source: string): Promise<EnrolAnswer> {
  const now = new Date(deps.clock.now());
  // Only its hash is stored, so a look-up tells nothing about tokens that exist, however long it takes.
  const hash = createHash('sha256').update(request.token, 'utf8').digest();
  const token = await findToken(deps.db, deps.organisation, hash);
  requireFit(token, request, now);
  const { organisation, serial } = token;
  const issued = await deps.authority.issueCharger(request.csr, { organisation, serial });
  await inTransaction(deps.db, async (trx) => {
    await spend(trx, token, now);
    await activate(trx, token, issued, now);
    const detail = { certificateSha256: issued.sha256, product: token.product, site: token.site };
    const reason = `token made by ${token.created_by}`;
    const entry = {
      actor: `charger:${serial}`,
      action: 'charger.enrol',
      subject: serial,
      reason,
      source,
      detail,
    };
    await appendAudit(trx, organisation, [entry], now);
  });
  return { certificate: issued.certificate, chain: deps.authority.certificate };
}

type Token = Row<'enrolment_tokens'>;

async function findToken(db: Db, organisation: string, hash: Buffer): Promise<Token> {
  const token = await db
    .selectFrom('enrolment_tokens')
    .selectAll()
    .where('organisation', '=', organisation)
    .where('token_sha256', '=', hash)
    .executeTakeFirst();
  if (token === undefined) throw new ApiError('TOKEN_UNKNOWN', 'No such token.', { pointer: '/token' });
  return token;
}

function requireFit(token: Token, { serial, hardware }: EnrolRequest, now: Date): void {
  if (token.used_at !== null) throw new ApiError('TOKEN_USED', 'The token is spent.', { pointer: '/token' });
  if (token.expires_at <= now) {
    throw new ApiError('TOKEN_EXPIRED', token.expires_at.toISOString(), { pointer: '/token' });
  }
  if (token.serial !== serial) {
    throw new ApiError('TOKEN_MISMATCH', 'Another serial number.', { pointer: '/serial' });
  }
  if (token.hardware !== hardware) {
    throw new ApiError('TOKEN_MISMATCH', 'Other hardware.', { pointer: '/hardware' });
  }
}

/** Of two that come at the same moment with one token, the condition lets one through. */
async function spend(trx: Transaction<Database>, token: Token, now: Date): Promise<void> {
  const spent = await trx
    .updateTable('enrolment_tokens')
    .set({ used_at: now })
    .where('organisation', '=', token.organisation)
    .where('token_sha256', '=', token.token_sha256)
    .where('used_at', 'is', null)
    .returning('serial')
    .executeTakeFirst();
  if (spent === undefined) throw new ApiError('TOKEN_USED', 'The token is spent.', { pointer: '/token' });
}

/**
 * The new certificate is the only one that counts from now on, and begins a new count of reports: whoever held the old one, or a board that
 * was lost with it, may have left the number anywhere. What was told under it is remembered, so that none of it counts twice.
 */
async function activate(
  trx: Transaction<Database>,
  token: Token,
  issued: IssuedCertificate,
  now: Date,
): Promise<void> {
  const enrolled = await trx
    .updateTable('chargers')
    .set({
      state: 'ACTIVE',
      certificate_sha256: issued.sha256,
      certificate_expires_at: issued.expiresAt,
      enrolled_at: now,
      earlier_report: (eb) => eb.fn<number>('greatest', ['earlier_report', 'last_report']),
      earlier_reported_to: (eb) => eb.ref('reported_to'),
      last_report: 0,
      reported_to: (eb) => eb.fn.coalesce('reported_to', 'enrolled_at', eb.val(now)),
    })
    .where('organisation', '=', token.organisation)
    .where('serial', '=', token.serial)
    .where('state', '<>', 'RETIRED')
    .returning('serial')
    .executeTakeFirst();
  if (enrolled === undefined) throw new ApiError('CHARGER_RETIRED', token.serial);
}
