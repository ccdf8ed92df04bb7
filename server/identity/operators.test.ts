import { beforeAll, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/postgres.ts';
import { verifyAudit } from '../audit/index.ts';
import type { Db } from '../db/index.ts';
import {
  PERMISSIONS,
  type Permission,
  type Role,
  ROLES,
  addOperator,
  authenticateOperator,
  bootstrapOperators,
  isAllowed,
  newCredential,
  operatorEntries,
  requirePermission,
  revokeOperator,
  secretSha256,
  writeCredential,
} from './index.ts';

const AT = new Date('2026-11-22T03:00:00Z');
const by = { actor: 'root', reason: 'new colleague', source: '::1' };
let db: Db;

beforeAll(async () => {
  ({ db } = await testDatabase());
  await db
    .insertInto('organisations')
    .values(['acme', 'other'].map((id) => ({ id, name: id, created_at: AT })))
    .execute();
});

const bearer = (credential: string) => authenticateOperator(db, `Bearer ${credential}`);

test('who calls follows from the credential alone', async () => {
  const ann = await addOperator(db, { organisation: 'acme', name: 'ann', roles: ['operator'] }, by, AT);
  const twin = await addOperator(db, { organisation: 'other', name: 'ann', roles: ['viewer'] }, by, AT);
  expect(await bearer(ann)).toEqual({ organisation: 'acme', name: 'ann', roles: ['operator'] });
  expect(await bearer(twin)).toEqual({ organisation: 'other', name: 'ann', roles: ['viewer'] });
});

test('a wrong, malformed or missing credential is refused', async () => {
  const bob = await addOperator(db, { organisation: 'acme', name: 'bob', roles: ['viewer'] }, by, AT);
  const [id] = bob.split('.');
  await expect(bearer(`${id}.${newCredential().secret}`)).rejects.toMatchObject({
    code: 'CREDENTIAL_INVALID',
  });
  await expect(bearer(writeCredential(newCredential()))).rejects.toMatchObject({
    code: 'CREDENTIAL_INVALID',
  });
  // The hash of an unknown credential is compared with zeros; no secret is known that hashes to them, and no row means no.
  await expect(bearer(`${id}`)).rejects.toMatchObject({ code: 'CREDENTIAL_INVALID' });
  await expect(authenticateOperator(db, bob)).rejects.toMatchObject({ code: 'CREDENTIAL_INVALID' });
  await expect(authenticateOperator(db, `Basic ${bob}`)).rejects.toMatchObject({
    code: 'CREDENTIAL_INVALID',
  });
  await expect(authenticateOperator(db, undefined)).rejects.toMatchObject({
    code: 'CREDENTIAL_MISSING',
    status: 401,
  });
});

test('a revoked credential is refused, and its name stays taken', async () => {
  const cid = await addOperator(db, { organisation: 'acme', name: 'cid', roles: ['viewer'] }, by, AT);
  await revokeOperator(db, { organisation: 'acme', name: 'cid' }, by, AT);
  await revokeOperator(db, { organisation: 'acme', name: 'cid' }, by, AT);
  await expect(bearer(cid)).rejects.toMatchObject({ code: 'CREDENTIAL_REVOKED', status: 401 });
  await expect(
    addOperator(db, { organisation: 'acme', name: 'cid', roles: ['admin'] }, by, AT),
  ).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  await expect(revokeOperator(db, { organisation: 'other', name: 'cid' }, by, AT)).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });
});

test.each([1, 2, 3])('the last admin stays, also when two revoke each other (round %i)', async (round) => {
  const organisation = `lone${round}`;
  await db
    .insertInto('organisations')
    .values({ id: organisation, name: organisation, created_at: AT })
    .execute();
  const add = (name: string, roles: Role[]) => addOperator(db, { organisation, name, roles }, by, AT);
  const revoke = (name: string) => revokeOperator(db, { organisation, name }, by, AT);
  await add('ann', ['admin']);
  await add('bea', ['admin', 'operator']);
  const both = await Promise.allSettled([revoke('ann'), revoke('bea')]);
  const refused = both.flatMap((each): unknown[] => (each.status === 'rejected' ? [each.reason] : []));
  expect(refused).toEqual([expect.objectContaining({ code: 'LAST_ADMIN', status: 409 })]);
  await add('eve', ['operator']);
  await revoke('eve');
});

test('operators.json adds whom the database does not know, and brings nobody back', async () => {
  const credential = newCredential();
  const entries = operatorEntries.parse([
    {
      name: 'dee',
      roles: ['release-engineer'],
      credentialId: credential.id,
      secretSha256: secretSha256(credential.secret).toString('hex'),
    },
  ]);
  expect(await bootstrapOperators(db, 'acme', entries, AT)).toEqual(['dee']);
  expect(await bootstrapOperators(db, 'acme', entries, AT)).toEqual([]);
  expect(await bearer(writeCredential(credential))).toMatchObject({ name: 'dee' });
  await revokeOperator(db, { organisation: 'acme', name: 'dee' }, by, AT);
  expect(await bootstrapOperators(db, 'acme', entries, AT)).toEqual([]);
  await expect(bearer(writeCredential(credential))).rejects.toMatchObject({ code: 'CREDENTIAL_REVOKED' });
});

test('adding and revoking are in the audit log', async () => {
  const rows = await db
    .selectFrom('audit')
    .select(['action', 'subject'])
    .where('organisation', '=', 'acme')
    .execute();
  expect(rows).toContainEqual({ action: 'operator.add', subject: 'dee' });
  expect(rows.filter((row) => row.action === 'operator.revoke' && row.subject === 'cid')).toHaveLength(1);
  expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true });
});

test('who may do what', () => {
  const table = Object.fromEntries(
    ROLES.map((role) => [
      role,
      Object.keys(PERMISSIONS).filter((permission) =>
        isAllowed({ organisation: 'acme', name: 'x', roles: [role] }, permission as Permission),
      ),
    ]),
  );
  expect(table).toEqual({
    admin: Object.keys(PERMISSIONS),
    'release-engineer': ['read', 'audit.read', 'release.publish'],
    operator: [
      'read',
      'audit.read',
      'site.write',
      'fleet.write',
      'rollout.create',
      'rollout.approve',
      'rollout.control',
      'operator.confirm',
    ],
    viewer: ['read', 'audit.read'],
  });
  const nobody = { organisation: 'acme', name: 'x', roles: [] };
  expect(() => requirePermission(nobody, 'read')).toThrowError(
    expect.objectContaining({ code: 'PERMISSION_DENIED', status: 403 }) as Error,
  );
});
