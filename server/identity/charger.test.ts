import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Router } from 'express';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Clock } from '@tidegate/client-sdk/protocol';
import { testDatabase } from '../../test/support/postgres.ts';
import { type TestService, newKeyAndRequest, serve } from '../device/testing/service.ts';
import type { Db } from '../db/index.ts';
import { DeviceAuthority, identifyCharger } from './index.ts';

const wall: Clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
const AT = new Date('2026-11-22T03:00:00Z');
let db: Db;
let folder: string;
let authority: DeviceAuthority;
let service: TestService;

beforeAll(async () => {
  ({ db } = await testDatabase());
  folder = await mkdtemp(join(tmpdir(), 'tidegate-ca-'));
  authority = await DeviceAuthority.open(join(folder, 'ca'), wall);
  await db.insertInto('organisations').values({ id: 'acme', name: 'Acme', created_at: AT }).execute();
  const site = { id: 'depot', name: 'Depot', type: 'depot', region: 'eu', time_zone: 'Europe/Berlin' };
  await db
    .insertInto('sites')
    .values({ organisation: 'acme', ...site, created_at: AT })
    .execute();
  const product = { organisation: 'acme', id: 'acme.dc150', hardware: ['dc150-r2'], created_at: AT };
  await db.insertInto('products').values(product).execute();
  const router = Router().get('/who', async (request, response) => {
    response.json(await identifyCharger(db, request));
  });
  service = await serve(router, authority);
});
afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true });
});

async function enrolled(serial: string, state: 'ACTIVE' | 'RETIRED' | 'EXPECTED', issuer = authority) {
  const { key, csr } = await newKeyAndRequest();
  const { certificate, sha256 } = await issuer.issueCharger(csr, { organisation: 'acme', serial });
  const place = { organisation: 'acme', product: 'acme.dc150', hardware: 'dc150-r2', site: 'depot' };
  await db
    .insertInto('chargers')
    .values({ ...place, serial, state, stratum: 's', cohort_key: 1, certificate_sha256: sha256 })
    .execute();
  return { key, cert: certificate, sha256 };
}

const who = async (client?: { key: string; cert: string }) => {
  const { status, json } = await service.call('GET', '/who', { client });
  return { status, ...(json as { code?: string; serial?: string }) };
};

test('a charger is known by the certificate that was issued last', async () => {
  const first = await enrolled('SN-1', 'ACTIVE');
  expect(await who(first)).toMatchObject({ status: 200, organisation: 'acme', serial: 'SN-1' });
  const { key, csr } = await newKeyAndRequest();
  const second = await authority.issueCharger(csr, { organisation: 'acme', serial: 'SN-1' });
  const change = { certificate_sha256: second.sha256 };
  await db.updateTable('chargers').set(change).where('serial', '=', 'SN-1').execute();
  expect(await who({ key, cert: second.certificate })).toMatchObject({ serial: 'SN-1' });
  expect(await who(first)).toMatchObject({ status: 403, code: 'CHARGER_UNKNOWN' });
});

test('no certificate, a retired one and one of a charger that has not enrolled are refused', async () => {
  expect(await who()).toMatchObject({ status: 401, code: 'CERTIFICATE_MISSING' });
  expect(await who(await enrolled('SN-2', 'RETIRED'))).toMatchObject({
    status: 403,
    code: 'CHARGER_RETIRED',
  });
  expect(await who(await enrolled('SN-3', 'EXPECTED'))).toMatchObject({
    status: 403,
    code: 'CHARGER_UNKNOWN',
  });
});

test('a certificate of another CA is refused, although its fingerprint is on record', async () => {
  const other = await DeviceAuthority.open(join(folder, 'other'), wall);
  const client = await enrolled('SN-4', 'ACTIVE', other);
  expect(await who(client)).toMatchObject({ status: 401, code: 'CERTIFICATE_INVALID' });
});

test('an expired certificate is refused', async () => {
  const longAgo = Date.now() - 200 * 24 * 60 * 60 * 1000;
  const past = await DeviceAuthority.open(join(folder, 'ca'), { ...wall, now: () => longAgo });
  expect(await who(await enrolled('SN-5', 'ACTIVE', past))).toMatchObject({ code: 'CERTIFICATE_INVALID' });
});

test("the service's own certificate is no charger's", async () => {
  const { certificate, key } = await authority.issueServer({ dns: ['localhost'], ip: [] });
  expect(await who({ cert: certificate, key })).toMatchObject({ status: 401, code: 'CERTIFICATE_INVALID' });
});

test('a leaf says who it is for, whatever the request says', async () => {
  const { csr } = await newKeyAndRequest('CN=SN-666, O=evil');
  const issued = await authority.issueCharger(csr, { organisation: 'acme', serial: 'SN-7' });
  const leaf = new X509Certificate(issued.certificate);
  expect(leaf.subject.split('\n')).toEqual(['CN=SN-7', 'O=acme']);
  expect(leaf.subjectAltName).toBe('URI:urn:tidegate:charger:acme:SN-7');
  expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  expect(leaf.ca).toBe(false);
  expect(leaf.validToDate).toEqual(new Date(Math.floor(issued.expiresAt.getTime() / 1000) * 1000));
  expect(leaf.verify(new X509Certificate(authority.certificate).publicKey)).toBe(true);
});

test('a request that its key did not sign, or of another kind of key, is refused', async () => {
  const charger = { organisation: 'acme', serial: 'SN-8' };
  const { csr } = await newKeyAndRequest();
  const der = Buffer.from(csr.replaceAll(/-----.*?-----|\s/g, ''), 'base64');
  der[der.length - 3] = (der[der.length - 3] ?? 0) ^ 1;
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
  const { publicKey } = generateKeyPairSync('ed25519');
  const bad = [forged, '', 'x'.repeat(9_000), publicKey.export({ type: 'spki', format: 'pem' }).toString()];
  for (const request of bad) {
    await expect(authority.issueCharger(request, charger)).rejects.toMatchObject({ code: 'CSR_INVALID' });
  }
});

test('the CA survives a restart, keeps its key to itself, and notices when half of it is gone', async () => {
  const home = join(folder, 'kept');
  const made = await DeviceAuthority.open(home, wall);
  expect((await DeviceAuthority.open(home, wall)).certificate).toBe(made.certificate);
  expect((await stat(join(home, 'ca.key.pem'))).mode & 0o777).toBe(0o600);
  await writeFile(join(home, 'ca.cert.pem'), authority.certificate);
  await expect(DeviceAuthority.open(home, wall)).rejects.toMatchObject({ code: 'AUTHORITY_BROKEN' });
  await rm(join(home, 'ca.key.pem'));
  await expect(DeviceAuthority.open(home, wall)).rejects.toMatchObject({ code: 'AUTHORITY_BROKEN' });
});
