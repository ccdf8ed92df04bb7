import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openKeyFile, SCRYPT_COST } from '../keys/index.ts';
import { type Metadata, publicationSteps, readWorkingCopy, type Root } from '../repository/index.ts';
import { writeWhole } from '../whole-file.ts';
import { completeCredentials, type CredentialFile, type OperatorEntry } from './credentials.ts';
import { type Desk, openDesk } from './desk.fixture.ts';

let desk: Desk;

beforeEach(async () => {
  desk = await openDesk();
});

afterEach(() => desk.close());

describe('init', () => {
  it('makes 2-of-3 root and targets, online keys apart, and signed metadata', async () => {
    expect((await desk.run('init')).exit).toBe(0);
    const copy = await readWorkingCopy(desk.path('.tidegate/repository'));
    const { roles } = copy.root.metadata.signed;
    expect(roles.root).toMatchObject({ threshold: 2 });
    expect(
      [roles.root, roles.targets, roles.snapshot, roles.timestamp].map((role) => role.keyids.length),
    ).toEqual([3, 3, 1, 1]);
    const everyKey = Object.values(roles).flatMap((role) => role.keyids);
    expect(new Set(everyKey).size).toBe(everyKey.length);
    expect(copy.policy.directors['acme']).toMatchObject({ epoch: 1, keys: [{ state: 'active' }] });
    expect(copy.root.metadata.signed.expires).toBe('2027-02-20T12:00:00Z');
    const initial = await desk.readJson<Metadata<Root>>('.tidegate/service/initial/1.root.json');
    expect(initial).toEqual(copy.root.metadata);
  });

  it('gives each person a credential of their own, and the service only digests', async () => {
    await desk.run('init');
    const entries = await desk.readJson<OperatorEntry[]>('.tidegate/service/operators.json');
    expect(entries.map(({ name, roles }) => [name, roles])).toEqual([
      ['alice', ['admin', 'operator']],
      ['bob', ['operator']],
      ['erin', ['release-engineer']],
      ['frank', ['release-engineer']],
    ]);
    for (const entry of entries) {
      const path = desk.path('.tidegate/credentials', `${entry.name}.json`);
      const file = JSON.parse(await readFile(path, 'utf8')) as CredentialFile;
      const [id, secret = ''] = file.credential.split('.');
      expect(id).toBe(entry.credentialId);
      expect(createHash('sha256').update(secret).digest('hex')).toBe(entry.secretSha256);
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    }
  });

  it('says no secrets', async () => {
    const { out } = await desk.run('init');
    const { credential } = await desk.readJson<CredentialFile>('.tidegate/credentials/alice.json');
    const passphrase = (await readFile(desk.path('.tidegate/keys/erin/passphrase'), 'utf8')).trim();
    expect(out.join()).not.toContain(credential.split('.')[1]);
    expect(out.join()).not.toContain(passphrase);
    expect(out.join()).not.toContain('PRIVATE');
  });

  it('encrypts every key, under a passphrase of its holder', async () => {
    await desk.run('init');
    const passphrase = (await readFile(desk.path('.tidegate/keys/erin/passphrase'), 'utf8')).trim();
    await expect(
      openKeyFile(desk.path('.tidegate/keys/erin/root.key.json'), passphrase),
    ).resolves.toBeDefined();
    await expect(
      openKeyFile(desk.path('.tidegate/keys/frank/root.key.json'), passphrase),
    ).rejects.toMatchObject({
      code: 'KEY_PASSPHRASE',
    });
  });

  it('stores no passphrase of an offline key when one is given', async () => {
    desk.env['TIDEGATE_PASSPHRASE'] = 'correct horse';
    await desk.run('init');
    expect(await readdir(desk.path('.tidegate/keys/erin'))).toEqual(['root.key.json', 'targets.key.json']);
    await expect(
      openKeyFile(desk.path('.tidegate/keys/ci/build.key.json'), 'correct horse'),
    ).resolves.toBeDefined();
    const online = (await readFile(desk.path('.tidegate/service/online/passphrase'), 'utf8')).trim();
    await expect(
      openKeyFile(desk.path('.tidegate/service/online/director.key.json'), online),
    ).resolves.toBeDefined();
  });

  it('refuses to run over an existing state', async () => {
    await desk.run('init');
    const before = await readFile(desk.path('.tidegate/keys/erin/root.key.json'));
    expect(await desk.run('init')).toMatchObject({ code: 'STATE_EXISTS', exit: 1 });
    expect(await readFile(desk.path('.tidegate/keys/erin/root.key.json'))).toEqual(before);
  });

  it.each([
    [['--people', 'erin'], 'PEOPLE_TOO_FEW'],
    [['--people', 'erin,erin'], 'NAMES_REPEATED'],
    [['--people', 'erin,../x'], 'NAME_INVALID'],
    [['--people', 'erin,ci'], 'NAME_INVALID'],
    [['--operators', 'alice'], 'OPERATORS_TOO_FEW'],
    [['--organisation', 'A B'], 'OPTION_INVALID'],
    [['--port', '0'], 'OPTION_INVALID'],
    [['--service-url', 'http://localhost'], 'OPTION_INVALID'],
  ])('refuses %j', async (args, code) => {
    expect(await desk.run('init', ...args)).toMatchObject({ code, exit: 2 });
    expect(await readdir(desk.folder)).toEqual([]);
  });

  it('lets the service complete the credentials with its CA, once', async () => {
    await desk.run('init');
    const folder = desk.path('.tidegate/credentials');
    expect(await completeCredentials(folder, 'PEM')).toEqual(['alice', 'bob', 'erin', 'frank']);
    expect(await completeCredentials(folder, 'OTHER')).toEqual([]);
    expect(await desk.readJson('.tidegate/credentials/bob.json')).toMatchObject({ ca: 'PEM' });
    expect(await completeCredentials(desk.path('none'), 'PEM')).toEqual([]);
  });

  it('never makes key files cheaper than the documented cost by itself', () => {
    expect(128 * SCRYPT_COST.N * SCRYPT_COST.r * SCRYPT_COST.p).toBeGreaterThanOrEqual(96 * 1024 * 1024);
  });
});

describe('product add', () => {
  const add = (product: string, ...more: string[]) =>
    desk.run('product', 'add', product, '--hardware', 'dc150-r2', ...more);
  const steps = (published: { root: number; targets: number; roles: Record<string, number> }) =>
    publicationSteps(desk.path('.tidegate/repository'), published);

  beforeEach(async () => {
    await desk.run('init');
  });

  it('delegates to two engineers, and writes the first metadata anew before the first start', async () => {
    expect((await add('acme.dc150')).json).toMatchObject({ initial: true, threshold: 2, targetsVersion: 1 });
    for (const folder of ['repository', 'service/initial']) {
      const copy = await readWorkingCopy(desk.path('.tidegate', folder));
      expect(copy.targets.metadata.signed.delegations?.roles).toMatchObject([
        { name: 'acme.dc150', paths: ['acme.dc150/*'], terminating: true, threshold: 2 },
      ]);
      expect(copy.policy.products['acme.dc150']?.builders).toHaveLength(1);
      expect(copy.policy.version).toBe(2);
    }
    expect((await steps({ root: 0, targets: 0, roles: {} })).map(({ roots }) => roots.length)).toEqual([1]);
    expect(await steps({ root: 1, targets: 1, roles: { 'acme.dc150': 1 } })).toEqual([]);
  });

  it('is a new version for a service that has started, to be published step by step', async () => {
    await writeWhole(desk.path('.tidegate/service/tuf/metadata/timestamp.json'), '{}');
    expect((await add('acme.dc150')).json).toMatchObject({ initial: false, targetsVersion: 2 });
    expect((await add('acme.ac22')).json).toMatchObject({ initial: false, targetsVersion: 3 });
    const published = await steps({ root: 1, targets: 1, roles: {} });
    expect(published.map(({ products }) => Object.keys(products))).toEqual([['acme.dc150'], ['acme.ac22']]);
    expect(published.map(({ policy }) => (JSON.parse(policy ?? '') as { version: number }).version)).toEqual([
      2, 3,
    ]);
    expect(await readdir(desk.path('.tidegate/service/initial'))).toContain('1.targets.json');
    expect(await readdir(desk.path('.tidegate/service/initial'))).not.toContain('2.targets.json');
  });

  it.each([
    ['acme', [], 'OPTION_INVALID'],
    ['acme.dc150', ['--hardware', 'A B'], 'OPTION_INVALID'],
    ['acme.dc150', ['--threshold', '3'], 'OPTION_INVALID'],
    ['acme.dc150', ['--builder-key', 'none.pem'], 'FILE_UNREADABLE'],
    ['acme.dc150', ['--emergency-floor', '2000'], 'POLICY_MALFORMED'],
  ])('refuses %s %j', async (product, args, code) => {
    expect(await add(product, ...args)).toMatchObject({ code });
    expect(await readdir(desk.path('.tidegate/keys/erin'))).not.toContain('acme.dc150.key.json');
  });

  it('makes keys for people whom init named, and for others only when they are said to be new', async () => {
    const before = await readdir(desk.path('.tidegate/keys'));
    expect(await add('acme.dc150', '--engineers', 'erin,frnak')).toMatchObject({
      code: 'PERSON_UNKNOWN',
      exit: 2,
    });
    expect(await add('acme.dc150', '--engineers', 'erin', '--new-person', 'heidi')).toMatchObject({
      code: 'OPTION_INVALID',
    });
    expect(await readdir(desk.path('.tidegate/keys'))).toEqual(before);
    const added = await add('acme.dc150', '--engineers', 'erin,heidi', '--new-person', 'heidi');
    expect(added.json['engineers']).toMatchObject([{ name: 'erin' }, { name: 'heidi' }]);
    // From now on she is known.
    expect((await add('acme.ac22', '--engineers', 'grace,heidi')).exit).toBe(0);
  });

  it('refuses a product that is there, and a desk with too few targets keys', async () => {
    await add('acme.dc150');
    expect(await add('acme.dc150')).toMatchObject({ code: 'PRODUCT_EXISTS', exit: 1 });
    for (const name of ['erin', 'grace']) await rm(desk.path('.tidegate/keys', name, 'targets.key.json'));
    expect(await add('acme.ac22')).toMatchObject({ code: 'HOLDERS_MISSING' });
  });

  it('refuses to work without a state', async () => {
    desk.env['TIDEGATE_HOME'] = 'nowhere';
    expect(await add('acme.dc150')).toMatchObject({ code: 'STATE_MISSING', exit: 1 });
  });
});
