import * as fc from 'fast-check';
import { sql } from 'kysely';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/postgres.ts';
import { type Db, inTransaction } from '../db/index.ts';
import { auditHash } from './chain.ts';
import { appendAudit, verifyAudit } from './index.ts';

const AT = new Date('2026-11-22T03:00:00.123Z');
let db: Db;

beforeAll(async () => {
  ({ db } = await testDatabase());
  await db
    .insertInto('organisations')
    .values(['acme', 'other'].map((id) => ({ id, name: id, created_at: AT })))
    .execute();
});
beforeEach(() => db.deleteFrom('audit').execute());

function entry(subject: string, detail: Record<string, unknown> = { n: 1.5, b: [true, null], a: 'é' }) {
  return { actor: 'ann', action: 'rollout.halt', subject, reason: 'alarms', source: '::1', detail };
}

function append(subjects: string[], organisation = 'acme'): Promise<void> {
  return inTransaction(db, (trx) =>
    appendAudit(
      trx,
      organisation,
      subjects.map((s) => entry(s)),
      AT,
    ),
  );
}

test('a log that nobody touched verifies, each organisation for itself', async () => {
  await append(['a', 'b']);
  await append(['c'], 'other');
  await append(['d']);
  expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true, head: { position: 3 } });
  expect(await verifyAudit(db, 'other')).toMatchObject({ ok: true, head: { position: 1 } });
});

test('half a surrogate pair and a NUL, which the database cannot keep, do not break the chain', async () => {
  const broken = { ...entry('a', { note: 'x\ud800y', nul: 'x\u0000y' }), reason: 'cut \ud83d off\u0000' };
  await inTransaction(db, (trx) => appendAudit(trx, 'acme', [broken, entry('b')], AT));
  expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true, head: { position: 2 } });
});

test('whatever JSON an entry tells survives the way through the database', async () => {
  // PostgreSQL's jsonb holds neither NUL nor half a surrogate pair.
  const text = fc.string({ unit: 'grapheme' }).map((s) => s.replaceAll('\0', ''));
  const json = fc.dictionary(text, fc.oneof(fc.double({ noNaN: true }), fc.integer(), text, fc.array(text)));
  await fc.assert(
    fc.asyncProperty(json, async (detail) => {
      await inTransaction(db, (trx) => appendAudit(trx, 'acme', [entry('x', detail)], AT));
      expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true });
    }),
    { numRuns: 40, seed: 7 },
  );
});

test('appending at the same moment keeps one chain', async () => {
  await Promise.all(Array.from({ length: 12 }, (_, i) => append([`${i}a`, `${i}b`])));
  expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true, head: { position: 24 } });
});

test('an entry lives and dies with the transaction that it tells of', async () => {
  await expect(
    db.transaction().execute(async (trx) => {
      await appendAudit(trx, 'acme', [entry('a')], AT);
      throw new Error('undone');
    }),
  ).rejects.toThrow('undone');
  expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true, head: { position: 0 } });
});

const tampering: [string, string, number, string][] = [
  ['change of a reason', `update audit set reason = 'none' where position = 2`, 2, 'CHANGED'],
  ['change of a detail', `update audit set detail = '{}' where position = 2`, 2, 'CHANGED'],
  [
    'change of a time by a microsecond',
    `update audit set at = at + interval '1 microsecond' where position = 3`,
    3,
    'CHANGED',
  ],
  ['removal', `delete from audit where position = 2`, 2, 'MISSING'],
  ['removal of the first row', `delete from audit where position = 1`, 1, 'MISSING'],
  [
    'removal with the gap closed',
    `delete from audit where position = 2; update audit set position = position - 1 where position > 2`,
    2,
    'UNCHAINED',
  ],
  [
    'insertion',
    `update audit set position = 5 where position = 4; update audit set position = 4 where position = 3;
     insert into audit select organisation, 3, at, actor, action, 'forged', reason, source, detail, previous_hash, hash
     from audit where position = 2`,
    3,
    'UNCHAINED',
  ],
  [
    'swap',
    `update audit set position = 9 where position = 2; update audit set position = 2 where position = 3;
     update audit set position = 3 where position = 9`,
    2,
    'UNCHAINED',
  ],
];

test.each(tampering)('a %s is proven at its position', async (_name, statements, position, fault) => {
  await append(['a', 'b', 'c', 'd']);
  for (const statement of statements.split(';')) await sql.raw(statement).execute(db);
  expect(await verifyAudit(db, 'acme')).toEqual({ ok: false, position, fault });
});

/** A hash that fits its own row: what somebody who can write to the database would put there. */
async function rehash(position: number, previous: string): Promise<string> {
  const row = await db
    .selectFrom('audit')
    .selectAll()
    .where('organisation', '=', 'acme')
    .where('position', '=', position)
    .executeTakeFirstOrThrow();
  const hash = auditHash(previous, { ...row, at: row.at.toISOString() });
  await db
    .updateTable('audit')
    .set({ previous_hash: previous, hash })
    .where('organisation', '=', 'acme')
    .where('position', '=', position)
    .execute();
  return hash;
}

test.each([
  ['changed', `update audit set reason = 'none' where position = 2`, 4],
  [
    'removed, and the gap closed',
    `delete from audit where position = 2; update audit set position = position - 1 where position > 2`,
    3,
  ],
  [
    'swapped with the next',
    `update audit set position = 9 where position = 2; update audit set position = 2 where position = 3;
     update audit set position = 3 where position = 9`,
    4,
  ],
])(
  'a row in the middle that was %s is proven, whatever hashes are made to fit',
  async (_name, statements, last) => {
    await append(['a', 'b', 'c', 'd']);
    const kept = await verifyAudit(db, 'acme');
    if (!kept.ok) throw new Error('untouched log does not verify');
    const first = await db
      .selectFrom('audit')
      .select('hash')
      .where('position', '=', 1)
      .executeTakeFirstOrThrow();
    for (const statement of statements.split(';')) await sql.raw(statement).execute(db);
    // As far as its own hash and the next row's reference go, the forger does it well; the row after still tells.
    const forged = await rehash(2, first.hash);
    await db.updateTable('audit').set({ previous_hash: forged }).where('position', '=', 3).execute();
    expect(await verifyAudit(db, 'acme')).toEqual({ ok: false, position: 3, fault: 'CHANGED' });
    // Who makes every later hash fit as well ends at another head than the one that was kept.
    let previous = first.hash;
    for (let position = 2; position <= last; position++) previous = await rehash(position, previous);
    expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true });
    expect(previous).not.toBe(kept.head.hash);
    expect(await verifyAudit(db, 'acme', kept.head)).toMatchObject({ ok: false, position: 4 });
  },
);

test('a log that was cut off or rewritten as a whole contradicts a head that was kept', async () => {
  await append(['a', 'b', 'c']);
  const kept = await verifyAudit(db, 'acme');
  if (!kept.ok) throw new Error('untouched log does not verify');
  await sql`delete from audit where position = 3`.execute(db);
  expect(await verifyAudit(db, 'acme', kept.head)).toEqual({ ok: false, position: 3, fault: 'MISSING' });
  await append(['forged']);
  expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true });
  expect(await verifyAudit(db, 'acme', kept.head)).toEqual({ ok: false, position: 3, fault: 'REWRITTEN' });
});
