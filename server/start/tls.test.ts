import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '@tidegate/client-sdk/agent/clock';
import { CERTIFICATE_DAYS, DeviceAuthority } from '../identity/index.ts';
import { serverCertificate } from './tls.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
let root: string;
let folder: string;
let authority: DeviceAuthority;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tidegate-tls-'));
  folder = join(root, 'tls');
  authority = await DeviceAuthority.open(join(root, 'ca'), systemClock);
});

afterEach(() => rm(root, { recursive: true, force: true }));

test('is kept over restarts, and its key is for this user alone', async () => {
  const first = await serverCertificate(folder, authority, Date.now());
  const pem = (text: unknown): string => String(text).trim();
  const second = await serverCertificate(folder, authority, Date.now());
  expect(pem(second.cert)).toBe(pem(first.cert));
  expect(pem(second.key)).toBe(pem(first.key));
  expect((await stat(join(folder, 'server.pem'))).mode & 0o777).toBe(0o600);
});

test('is made anew in the last third of its life', async () => {
  const before = await kept();
  expect(await kept(Date.now() + (CERTIFICATE_DAYS - 31) * DAY_MS)).toBe(before);
  expect(await kept(Date.now() + (CERTIFICATE_DAYS - 29) * DAY_MS)).not.toBe(before);
});

test('is made anew when it is of another CA, or torn', async () => {
  const before = await kept();
  authority = await DeviceAuthority.open(join(root, 'other-ca'), systemClock);
  const other = await kept();
  expect(other).not.toBe(before);
  await writeFile(join(folder, 'server.pem'), other.slice(0, 200));
  expect(await kept()).not.toBe(other);
});

async function kept(wall: number = Date.now()): Promise<string> {
  await serverCertificate(folder, authority, wall);
  return readFile(join(folder, 'server.pem'), 'utf8');
}
