/**
 * Who counts as one person where two are needed. Design §8.11
 *
 * An admin can add anybody, herself under another name included. So whom one person added alone counts as that person, and whom the
 * added one added counts as her too, until somebody who does not count as her confirms that there is another person behind the
 * credential. People of `operators.json` count as themselves: whoever writes that file owns the machine.
 *
 * Wherever two are needed (author and approver, two approvers), the two must count as different people.
 */
import type { Transaction } from 'kysely';
import { appendAudit } from '../audit/index.ts';
import { type Database, type Db, inTransaction } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import type { Actor } from './operators.ts';

export interface Provenance {
  addedBy: string | null;
  confirmedBy: string | null;
}

/** Whom `name` counts as: the first up the line of who added whom that needs no confirmation, or has one. */
export function countsAs(name: string, people: ReadonlyMap<string, Provenance>): string {
  const seen = new Set<string>();
  for (let one = name; ;) {
    const person = people.get(one);
    // A circle cannot be written, because a name is added once; should one be there, nobody in it is independent of another.
    if (seen.has(one)) return [...seen].sort()[0] ?? one;
    seen.add(one);
    if (person === undefined || person.addedBy === null || person.confirmedBy !== null) return one;
    one = person.addedBy;
  }
}

export async function loadProvenance(
  db: Db | Transaction<Database>,
  organisation: string,
): Promise<Map<string, Provenance>> {
  const rows = await db
    .selectFrom('operators')
    .select(['name', 'added_by', 'confirmed_by'])
    .where('organisation', '=', organisation)
    .execute();
  return new Map(
    rows.map(({ name, added_by, confirmed_by }) => [name, { addedBy: added_by, confirmedBy: confirmed_by }]),
  );
}

/** @throws ApiError `NOT_INDEPENDENT` where `name` counts as the same person as one of `others`. */
export function requireIndependent(
  name: string,
  others: readonly string[],
  people: ReadonlyMap<string, Provenance>,
): void {
  const own = countsAs(name, people);
  const same = others.find((other) => countsAs(other, people) === own);
  if (same === undefined) return;
  throw new ApiError('NOT_INDEPENDENT', `${name} and ${same} both count as ${own}.`);
}

/**
 * Confirms that an added operator is a person of their own. Confirming twice changes nothing.
 * @throws ApiError `NOT_FOUND`, `WRONG_STATUS` for a revoked one, `NOT_INDEPENDENT` by whoever counts as the same person
 */
export async function confirmOperator(
  db: Db,
  who: { organisation: string; name: string },
  by: Actor,
  at: Date,
): Promise<void> {
  await inTransaction(db, async (trx) => {
    const row = await trx
      .selectFrom('operators')
      .select(['revoked_at', 'added_by', 'confirmed_by'])
      .where('organisation', '=', who.organisation)
      .where('name', '=', who.name)
      .forUpdate()
      .executeTakeFirst();
    if (row === undefined) throw new ApiError('NOT_FOUND', `Operator ${who.name}.`);
    if (row.revoked_at !== null) throw new ApiError('WRONG_STATUS', `${who.name} is revoked.`);
    if (row.added_by === null || row.confirmed_by !== null) return;
    const people = await loadProvenance(trx, who.organisation);
    requireIndependent(by.actor, [who.name], people);
    await trx
      .updateTable('operators')
      .set({ confirmed_by: by.actor, confirmed_at: at })
      .where('organisation', '=', who.organisation)
      .where('name', '=', who.name)
      .execute();
    const detail = { addedBy: row.added_by };
    await appendAudit(
      trx,
      who.organisation,
      [{ ...by, action: 'operator.confirm', subject: who.name, detail }],
      at,
    );
  });
}
