import { z } from 'zod';
import { appendAudit } from '../audit/index.ts';
import { type Db, inTransaction } from '../db/index.ts';
import { ROLES } from './roles.ts';

/** `operators.json`: who may call a service that was just set up. Secrets are not in it. */
export const operatorEntries = z
  .array(
    z.strictObject({
      name: z.string().regex(/^[a-z][a-z0-9._-]{0,63}$/),
      roles: z.array(z.enum(ROLES)).min(1),
      credentialId: z.string().regex(/^[A-Za-z0-9_-]{8,64}$/),
      /** SHA-256 of the secret as it is written in the credential, hex. */
      secretSha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  )
  .max(1_000);

export type OperatorEntry = z.output<typeof operatorEntries>[number];

/**
 * Adds the operators of `operators.json` that the database does not know yet. Safe at every start: one that is known stays as it is,
 * so a revoked operator does not come back with a restart.
 *
 * @returns the names added.
 */
export function bootstrapOperators(
  db: Db,
  organisation: string,
  entries: readonly OperatorEntry[],
  at: Date,
): Promise<string[]> {
  return inTransaction(db, async (trx) => {
    if (entries.length === 0) return [];
    const added = await trx
      .insertInto('operators')
      .values(
        entries.map(({ name, roles, credentialId, secretSha256 }) => ({
          organisation,
          name,
          roles,
          credential_id: credentialId,
          secret_sha256: Buffer.from(secretSha256, 'hex'),
          created_at: at,
        })),
      )
      .onConflict((conflict) => conflict.doNothing())
      .returning(['name', 'roles', 'credential_id'])
      .execute();
    const audit = added.map(({ name, roles, credential_id }) => ({
      actor: 'service',
      action: 'operator.add',
      subject: name,
      reason: 'listed in operators.json',
      source: 'local',
      detail: { roles, credentialId: credential_id },
    }));
    await appendAudit(trx, organisation, audit, at);
    return added.map(({ name }) => name);
  });
}
