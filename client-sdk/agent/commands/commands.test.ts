import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { consistentTargetPath } from '../../protocol/index.ts';
import type { ReleaseTarget, TargetCustom } from '../../protocol/index.ts';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { someImage } from '../testing/charger.ts';
import { TestService, testClock } from '../testing/service.ts';
import { listenTls } from '../testing/tls.ts';
import type { TlsBench } from '../testing/tls.ts';
import { chargerCommands } from './index.ts';

const TOKEN = 'one-time';
let service: TestService;
let tls: TlsBench;
let folder: string;
const YES = [process.execPath, '-e', ''];
const NO = [process.execPath, '-e', 'process.exitCode = 1'];

beforeEach(async () => {
  service = new TestService(testClock());
  tls = await listenTls(service, TOKEN);
  // A folder with a space in it, as people have.
  folder = join(await mkdtemp(join(tmpdir(), 'tg-cli-')), 'a charger');
  await mkdir(folder);
  await writeFile(join(folder, 'root.json'), service.repository.file('metadata/1.root.json'));
  await writeFile(join(folder, 'ca.pem'), tls.ca);
  await writeFile(join(folder, 'charger.json'), JSON.stringify(provisioning()));
});
afterEach(async () => {
  await tls.close();
  await rm(join(folder, '..'), { recursive: true });
});

const provisioning = () => ({
  organisation: 'acme',
  product: 'acme.dc150',
  hardware: 'dc150-r2',
  serial: 'C-0001',
  service: tls.origin,
  serviceCa: 'ca.pem',
  root: 'root.json',
  state: 'state',
  securityFloor: 1,
  buildTime: '2026-11-22T11:00:00Z',
  factory: { version: '1.0.0', securityVersion: 1 },
  installer: { kind: 'slot-files', folder: 'slots', simulateBoot: true },
  host: { charging: NO, healthy: YES },
});

async function charger(...args: string[]): Promise<{ code: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  let code = 0;
  const program = new Command('tidegate-charger').exitOverride();
  for (const command of chargerCommands({
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    json: false,
    env: {},
    cwd: folder,
    tty: false,
    exit: (given) => {
      code = given;
    },
    clock: service.clock,
  })) {
    program.addCommand(command);
  }
  await program.parseAsync(args, { from: 'user' });
  return { code, out, err };
}
const json = async (...args: string[]): Promise<Record<string, unknown>> => {
  const { out } = await charger(...args, '--json');
  return JSON.parse(out.at(-1) ?? 'null') as Record<string, unknown>;
};

function bundleOf(target: ReleaseTarget): Buffer {
  const [listed] = target.custom.bundles;
  if (!listed) throw new Error('the release has no bundle');
  return service.repository.file(`targets/${consistentTargetPath(listed.path, listed.sha256)}`);
}

it('enrols, takes an update and says what it runs', async () => {
  expect((await charger('run', '--once')).err[0]).toContain('NOT_PROVISIONED');
  expect(await json('enrol', '--token', TOKEN)).toEqual({
    serial: 'C-0001',
    service: tls.origin,
    enrolled: true,
  });
  service.wanted = { assignment: 'a', target: service.publish(someImage(), { version: '1.2.0' }) };
  for (let i = 0; i < 3; i++) await charger('run', '--once');
  const status = await json('status');
  expect(status).toMatchObject({
    committed: { version: '1.2.0' },
    assignment: { progress: 'HEALTHY' },
    slots: { trial: false },
  });
  expect((await charger('status')).out[1]).toBe('runs       1.2.0 in slot b');
});

it('verifies a file offline, and says how old its knowledge is', async () => {
  await charger('enrol', '--token', TOKEN);
  const image = someImage();
  const target = service.publish(image, { version: '1.2.0' });
  await writeFile(join(folder, 'fw.bin'), image);
  await writeFile(join(folder, 'fw.bin.sigstore.json'), bundleOf(target));
  expect(await json('verify', '--image', 'fw.bin')).toMatchObject({ error: { code: 'STATE_CORRUPT' } });
  await charger('run', '--once');
  await tls.close();
  await service.clock.sleep(30 * 86_400_000);
  const verdict = await json('verify', '--image', 'fw.bin');
  expect(verdict).toMatchObject({ ok: true, version: '1.2.0', trust: { expired: true } });
  expect((verdict['trust'] as { ageSeconds: number }).ageSeconds).toBeGreaterThan(30 * 86_400 - 2 * 86_400);
  const person = await charger('verify', '--image', 'fw.bin');
  expect(person.code).toBe(0);
  expect(person.out).toHaveLength(3);
});

it('refuses a file with the code of the rule that says no', async () => {
  await charger('enrol', '--token', TOKEN);
  const image = someImage();
  const target = service.publish(image, { version: '1.2.0', hardware: ['dc150-r9'] });
  await charger('run', '--once');
  await writeFile(join(folder, 'fw.bin'), image);
  await writeFile(join(folder, 'other.bin'), someImage());
  await writeFile(join(folder, 'bundle.json'), bundleOf(target));
  const bundle = ['--bundle', 'bundle.json'];
  expect(await json('verify', '--image', 'fw.bin')).toMatchObject({ error: { code: 'BUNDLE_MISSING' } });
  expect(await json('verify', '--image', 'fw.bin', ...bundle)).toMatchObject({
    error: { code: 'HARDWARE_MISMATCH' },
  });
  expect(await json('verify', '--image', 'other.bin', ...bundle)).toMatchObject({
    error: { code: 'TARGET_UNKNOWN' },
  });
  expect((await charger('verify', '--image', 'other.bin', ...bundle)).code).toBe(1);
});

it('goes down offline along the list that the newest role has, as an update would', async () => {
  await charger('enrol', '--token', TOKEN);
  const older = someImage();
  const target = service.publish(older, { version: '1.1.0' });
  const { path, sha256 } = target;
  const way = { path, sha256, expires: '2027-01-01T00:00:00Z', auto: true };
  const newer = service.publish(someImage(), { version: '1.2.0', fallback: [way] });
  service.wanted = { assignment: 'a', target: newer };
  for (let i = 0; i < 3; i++) await charger('run', '--once');
  await writeFile(join(folder, 'fw.bin'), older);
  await writeFile(join(folder, 'fw.bin.sigstore.json'), bundleOf(target));
  expect(await json('verify', '--image', 'fw.bin')).toMatchObject({ ok: true, version: '1.1.0' });
  (service.repository.productTargets[newer.path]!.custom as TargetCustom).fallback = [];
  service.repository.bump('product');
  await charger('run', '--once');
  expect(await json('verify', '--image', 'fw.bin')).toMatchObject({ error: { code: 'DOWNGRADE_UNSIGNED' } });
});

it('exits with 3 when the service does not answer', async () => {
  await charger('enrol', '--token', TOKEN);
  await tls.close();
  expect((await charger('run', '--once')).code).toBe(3);
});

it.each([
  ['organisation', 'Acme'],
  ['serial', ''],
  ['service', 'http://localhost'],
  ['securityFloor', -1],
  ['buildTime', 'yesterday'],
  ['factory', null],
  ['installer', { kind: 'magic' }],
  ['host', { charging: 'a shell string', healthy: YES }],
])('names a field of the provisioning that is wrong: %s', async (field, value) => {
  await writeFile(join(folder, 'charger.json'), JSON.stringify({ ...provisioning(), [field]: value }));
  const { error } = (await json('status')) as { error: { code: string; message: string } };
  expect(error.code).toBe('NOT_PROVISIONED');
  expect(error.message).toContain(`/${field}`);
});

it('reads YAML as well', async () => {
  const yaml = Object.entries(provisioning()).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  await writeFile(join(folder, 'charger.yaml'), yaml.join('\n'));
  expect(await json('status', '--config', 'charger.yaml')).toMatchObject({ serial: 'C-0001', trust: null });
});
