import * as fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { sql } from 'kysely';
import { emptyDatabase, testDatabase } from '../../test/support/postgres.ts';
import { verifyAudit } from '../audit/index.ts';
import { type Db, migrate } from '../db/index.ts';
import { MIGRATIONS } from '../db/migrate.ts';
import {
  addOperator,
  bootstrapOperators,
  confirmOperator,
  countsAs,
  loadProvenance,
  type Provenance,
  revokeOperator,
} from './index.ts';

const AT = new Date('2026-11-22T03:00:00Z');
const by = (actor: string) => ({ actor, reason: 'a test', source: '::1' });
let db: Db;

beforeAll(async () => {
  ({ db } = await testDatabase());
  await db
    .insertInto('organisations')
    .values(['acme', 'other'].map((id) => ({ id, name: id, created_at: AT })))
    .execute();
  for (const [organisation, name] of [
    ['acme', 'dora'],
    ['acme', 'emil'],
    ['other', 'emil'],
  ] as const) {
    const roles = ['admin' as const];
    const entry = { name, roles, credentialId: `${organisation}-${name}`, secretSha256: 'a'.repeat(64) };
    await bootstrapOperators(db, organisation, [entry], AT);
  }
});

async function add(name: string, adder: string): Promise<void> {
  await addOperator(db, { organisation: 'acme', name, roles: ['admin'] }, by(adder), AT);
}
const confirm = (name: string, who: string) =>
  confirmOperator(db, { organisation: 'acme', name }, by(who), AT);
const asWhom = async (name: string) => countsAs(name, await loadProvenance(db, 'acme'));

test('whoever one person added counts as that person, over any number of steps, until somebody else confirms', async () => {
  await add('puppet', 'dora');
  await add('second', 'puppet');
  await add('third', 'second');
  expect(await Promise.all(['dora', 'emil', 'puppet', 'second', 'third'].map(asWhom))).toEqual([
    'dora',
    'emil',
    'dora',
    'dora',
    'dora',
  ]);
  for (const who of ['dora', 'puppet', 'second', 'third']) {
    await expect(confirm('second', who)).rejects.toMatchObject({ code: 'NOT_INDEPENDENT', status: 403 });
  }
  await confirm('second', 'emil');
  await confirm('second', 'dora');
  expect(await Promise.all(['puppet', 'second', 'third'].map(asWhom))).toEqual(['dora', 'second', 'second']);
  const rows = await db
    .selectFrom('audit')
    .select(['actor', 'subject'])
    .where('action', '=', 'operator.confirm')
    .execute();
  expect(rows).toEqual([{ actor: 'emil', subject: 'second' }]);
  expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true });
});

test('nobody confirms who is not there, was revoked, or belongs to another tenant', async () => {
  await expect(confirm('nobody', 'emil')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await add('gone', 'dora');
  await revokeOperator(db, { organisation: 'acme', name: 'gone' }, by('dora'), AT);
  await expect(confirm('gone', 'emil')).rejects.toMatchObject({ code: 'WRONG_STATUS' });
  await add('mine', 'dora');
  await expect(
    confirmOperator(db, { organisation: 'other', name: 'mine' }, by('emil'), AT),
  ).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('one person alone, with all the names that she can add, never counts as two', () => {
  const step = fc.record({ adder: fc.nat(), confirmer: fc.option(fc.nat()) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const people = new Map<string, Provenance>([['dora', { addedBy: null, confirmedBy: null }]]);
      for (const [i, { adder, confirmer }] of steps.entries()) {
        const names = [...people.keys()];
        const addedBy = names[adder % names.length] ?? 'dora';
        people.set(`p${i}`, { addedBy, confirmedBy: null });
        // What `confirmOperator` refuses does not happen.
        const witness = confirmer === null ? undefined : names[confirmer % names.length];
        if (witness !== undefined && countsAs(witness, people) !== countsAs(`p${i}`, people)) {
          people.set(`p${i}`, { addedBy, confirmedBy: witness });
        }
      }
      for (const name of people.keys()) expect(countsAs(name, people)).toBe('dora');
    }),
    { numRuns: 200, seed: 9 },
  );
});

test('a circle, should one ever be written, is one person', () => {
  const people = new Map<string, Provenance>([
    ['a', { addedBy: 'b', confirmedBy: null }],
    ['b', { addedBy: 'c', confirmedBy: null }],
    ['c', { addedBy: 'a', confirmedBy: null }],
  ]);
  expect(['a', 'b', 'c'].map((name) => countsAs(name, people))).toEqual(['a', 'a', 'a']);
});

test('a database from before knows from its audit log who added whom', async () => {
  const old = (await emptyDatabase()).db;
  const { '0001-foundation': foundation } = MIGRATIONS;
  if (foundation === undefined) throw new Error('There is a first migration.');
  await migrate(old, { '0001-foundation': foundation });
  await sql`
    insert into organisations values ('acme', 'acme', now()), ('other', 'other', now());
    insert into operators (organisation, name, roles, credential_id, secret_sha256, created_at)
      values ('acme', 'dora', '{admin}', '1', '', now()), ('acme', 'fay', '{operator}', '2', '', now()), ('other', 'fay', '{operator}', '3', '', now());
    insert into audit values
      ('acme', 1, now(), 'service', 'operator.add', 'dora', 'listed', 'local', '{}', '', ''),
      ('acme', 2, now(), 'dora', 'operator.add', 'fay', 'new', '::1', '{}', '', '');
  `.execute(old);
  await migrate(old);
  expect(Object.fromEntries(await loadProvenance(old, 'acme'))).toMatchObject({
    dora: { addedBy: null },
    fay: { addedBy: 'dora' },
  });
  expect((await loadProvenance(old, 'other')).get('fay')).toMatchObject({ addedBy: null });
});
