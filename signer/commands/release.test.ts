import { appendFile, cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateKey, writeKeyFile } from '../keys/index.ts';
import {
  type Metadata,
  type Proposal,
  publicationSteps,
  readWorkingCopy,
  type Targets,
} from '../repository/index.ts';
import { type Desk, FAST_SCRYPT, openDesk, type Run } from './desk.fixture.ts';

const PRODUCT = 'acme.dc150';
const ERIN = `.tidegate/keys/erin/${PRODUCT}.key.json`;
const FRANK = `.tidegate/keys/frank/${PRODUCT}.key.json`;

let desk: Desk;

beforeEach(async () => {
  desk = await openDesk();
  await desk.run('init');
  await desk.run('product', 'add', PRODUCT, '--hardware', 'dc150-r2,dc150-r3');
  await writeFile(desk.path('fw-1.raucb'), 'firmware one');
  await writeFile(desk.path('fw-2.raucb'), 'firmware two');
});

afterEach(() => desk.close());

const what = (version: string, change: Record<string, string> = {}): string[] => {
  const options = {
    product: PRODUCT,
    version,
    hardware: 'dc150-r2,dc150-r3',
    'security-version': '3',
    ...change,
  };
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
};

const sign = (n: number, change: Record<string, string> = {}) =>
  desk.run('sign', `fw-${n}.raucb`, ...what(`${n}.0.0`, change));

const propose = (n: number, ...more: string[]) =>
  desk.run(
    'release',
    'propose',
    `fw-${n}.raucb`,
    '--bundle',
    `fw-${n}.raucb.sigstore.json`,
    ...what(`${n}.0.0`),
    '--key',
    ERIN,
    ...more,
  );

const cosign = (n: number, ...more: string[]) =>
  desk.run('release', 'cosign', `${PRODUCT}@${n}.0.0`, '--key', FRANK, ...more);

/** A refused command has an error with a code, an exit code, and leaves the desk as it was. */
async function refused(work: () => Promise<Run>): Promise<string | undefined> {
  const before = await everyFile();
  const run = await work();
  expect(run.exit).toBeGreaterThan(0);
  expect(await everyFile()).toEqual(before);
  return run.code;
}

async function everyFile(): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(desk.folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = `${entry.parentPath}/${entry.name}`;
    files[path] = (await readFile(path)).toString('base64');
  }
  return files;
}

describe('a release', () => {
  it('takes two signatures to reach the working copy, and the second release falls back to the first', async () => {
    expect((await sign(1)).exit).toBe(0);
    const proposed = await propose(1);
    expect(proposed.json).toMatchObject({ version: '1.0.0', complete: false, roleVersion: 2, threshold: 2 });
    const half = await readWorkingCopy(desk.path('.tidegate/repository'));
    expect(half.products.get(PRODUCT)?.metadata.signed.version).toBe(1);

    const done = await cosign(1);
    expect(done.json).toMatchObject({ complete: true, imageSeen: true });
    await sign(2);
    await propose(2, '--notes', 'Better', '--cve', 'CVE-2026-1');
    expect((await cosign(2)).exit).toBe(0);

    const copy = await readWorkingCopy(desk.path('.tidegate/repository'));
    const role = copy.products.get(PRODUCT)?.metadata.signed;
    expect(role?.version).toBe(3);
    const custom = role?.targets[`${PRODUCT}/dc150-2.0.0.raucb`]?.custom;
    expect(custom).toMatchObject({ notes: 'Better', cves: ['CVE-2026-1'], securityVersion: 3 });
    expect(custom?.fallback).toEqual([
      {
        path: `${PRODUCT}/dc150-1.0.0.raucb`,
        sha256: done.json['sha256'],
        expires: role?.expires,
        auto: false,
      },
    ]);
    expect((await desk.run('release', 'list')).json['releases']).toMatchObject([
      { version: '1.0.0', signatures: 2, complete: true },
      { version: '2.0.0', signatures: 2, complete: true },
    ]);
    expect((await desk.run('release', 'show', `${PRODUCT}@1.0.0`)).json).toMatchObject({ adopted: true });

    const published = { root: 1, targets: 1, roles: { [PRODUCT]: 1 } };
    const steps = await publicationSteps(desk.path('.tidegate/repository'), published);
    const versionOf = (text: string) => (JSON.parse(text) as Metadata<Targets>).signed.version;
    expect(steps.map(({ products }) => Object.values(products).map(versionOf))).toEqual([[2], [3]]);
  });

  it('is found without its name where only one waits for signatures', async () => {
    const bare = (...name: string[]) => desk.run('release', 'cosign', ...name, '--key', FRANK);
    expect(await bare()).toMatchObject({ code: 'PROPOSAL_MISSING', exit: 1 });
    expect(await bare('nothing')).toMatchObject({ code: 'PROPOSAL_UNNAMED', exit: 2 });
    await sign(1);
    await propose(1);
    expect((await desk.run('release', 'list')).json['releases']).toMatchObject([
      { version: '1.0.0', missing: ['frank'], complete: false },
    ]);
    expect((await desk.run('product', 'add', 'acme.ac22', '--hardware', 'ac22-r1')).exit).toBe(0);
    await writeFile(desk.path('ac.img'), 'another product');
    const ac22 = what('1.0.0', { product: 'acme.ac22', hardware: 'ac22-r1' });
    await desk.run('sign', 'ac.img', ...ac22);
    const bundle = ['--bundle', 'ac.img.sigstore.json'];
    const key = ['--key', '.tidegate/keys/erin/acme.ac22.key.json'];
    expect((await desk.run('release', 'propose', 'ac.img', ...bundle, ...ac22, ...key)).exit).toBe(0);
    expect(await bare()).toMatchObject({ code: 'PROPOSAL_UNNAMED', exit: 2 });
    expect((await bare(PRODUCT)).json).toMatchObject({ product: PRODUCT, complete: true });
  });

  it('is signed with a warning where product or hardware are not known here', async () => {
    expect((await sign(1)).json['warnings']).toEqual([]);
    for (const change of [{ product: 'acme.dc160' }, { hardware: 'dc150-r2,dc150-r9' }]) {
      const { exit, json } = await sign(1, change);
      expect([exit, json['warnings']]).toEqual([
        0,
        [expect.stringContaining(Object.values(change)[0]?.split(',').at(-1) ?? '')],
      ]);
    }
    const said = await desk.say('sign', 'fw-1.raucb', ...what('1.0.0', { product: 'acme.dc160' }));
    expect(said.out[0]).toContain('acme.dc160');
  });

  it('says in plain words what is signed and what comes next', async () => {
    await sign(1);
    await propose(1, '--adopt', '--notes', 'red \u001B[31mtext');
    const { out } = await desk.say('release', 'cosign', `${PRODUCT}@1.0.0`, '--key', FRANK);
    const text = out.join('\n');
    for (const word of [
      'dc150-r2, dc150-r3',
      'security version 3',
      'erin, frank',
      '2 of 2',
      'Adopted',
      'tidegate publish',
    ]) {
      expect(text).toContain(word);
    }
    expect(text).not.toContain('\u001B');
  });

  it('names the ways back that were asked for', async () => {
    await sign(1);
    await propose(1);
    await cosign(1);
    await sign(2);
    expect(await refused(() => propose(2, '--fallback', '0.9.0'))).toBe('FALLBACK_UNKNOWN');
    expect(await refused(() => propose(2, '--fallback', '1.0.0:always'))).toBe('OPTION_INVALID');
    const { json } = await propose(2, '--fallback', '1.0.0:auto');
    expect(json).toMatchObject({ custom: { fallback: [{ auto: true }] } });
  });
});

describe('bad input, refused with nothing written', () => {
  beforeEach(async () => {
    await sign(1);
  });

  it('an image that is not the one signed', async () => {
    await appendFile(desk.path('fw-1.raucb'), '!');
    expect(await refused(() => propose(1))).toBe('BUNDLE_INVALID');
  });

  it('a bundle by an unknown identity', async () => {
    const stranger = generateKey('ecdsa-sha2-nistp256');
    await writeKeyFile(desk.path('stranger.key.json'), stranger, 'x', { cost: FAST_SCRYPT });
    await writeFile(desk.path('passphrase'), 'x\n');
    await sign(1, { key: 'stranger.key.json' });
    expect(await refused(() => propose(1))).toBe('BUILDER_UNKNOWN');
  });

  it.each([
    ['version', '1.0.1'],
    ['hardware', 'dc150-r2'],
    ['security-version', '4'],
  ])('custom that disagrees with the attested statement: %s', async (field, value) => {
    expect(await refused(() => propose(1, `--${field}`, value))).toBe('STATEMENT_MISMATCH');
  });

  it('a security version above the cap', async () => {
    await sign(1, { 'security-version': '1001' });
    expect(await refused(() => propose(1, '--security-version', '1001'))).toBe('ABOVE_CAP');
  });

  it('an unknown product, unknown hardware, a bundle that is none', async () => {
    expect(await refused(() => propose(1, '--product', 'acme.other'))).toBe('PRODUCT_UNKNOWN');
    expect(await refused(() => propose(1, '--hardware', 'dc150-r9'))).toBe('HARDWARE_UNKNOWN');
    expect(await refused(() => propose(1, '--bundle', 'fw-1.raucb'))).toBe('BUNDLE_INVALID');
    expect(await refused(() => propose(1, '--bundle', 'none.json'))).toBe('FILE_UNREADABLE');
  });

  it('a key that is not of the role, no key, a wrong passphrase', async () => {
    expect(await refused(() => propose(1, '--key', '.tidegate/keys/erin/root.key.json'))).toBe(
      'KEY_NOT_OF_ROLE',
    );
    const unnamed = [
      'release',
      'propose',
      'fw-1.raucb',
      '--bundle',
      'fw-1.raucb.sigstore.json',
      ...what('1.0.0'),
    ];
    expect(await refused(() => desk.run(...unnamed))).toBe('KEY_UNNAMED');
    desk.env['TIDEGATE_PASSPHRASE'] = 'wrong';
    expect(await refused(() => propose(1))).toBe('KEY_PASSPHRASE');
  });

  it('the same key twice', async () => {
    await propose(1);
    expect(await refused(() => cosign(1, '--key', ERIN))).toBe('ALREADY_SIGNED');
  });

  it('one signature more than needed', async () => {
    await propose(1);
    await cosign(1);
    expect(await refused(() => cosign(1))).toBe('PROPOSAL_COMPLETE');
  });

  it('a second proposal of the same release, or of the same product while one is open', async () => {
    await propose(1);
    expect(await refused(() => propose(1))).toBe('PROPOSAL_EXISTS');
    await sign(2);
    expect(await refused(() => propose(2))).toBe('PROPOSAL_PENDING');
  });

  it('the bytes of one version as another, and a version with other bytes', async () => {
    await propose(1);
    await cosign(1);
    await cp(desk.path('fw-1.raucb'), desk.path('fw-2.raucb'));
    await sign(2);
    expect(await refused(() => propose(2))).toBe('DIGEST_EXISTS');
    await writeFile(desk.path('fw-1.raucb'), 'other bytes');
    await sign(1);
    // As on the desk of somebody who has the working copy and not the proposals.
    desk.env['TIDEGATE_HOME'] = 'elsewhere';
    await cp(desk.path('.tidegate'), desk.path('elsewhere'), { recursive: true });
    await rm(desk.path('elsewhere/releases'), { recursive: true });
    expect(await refused(() => propose(1))).toBe('RELEASE_EXISTS');
  });
});

describe('a cosigner', () => {
  const file = () => desk.path(`.tidegate/releases/${PRODUCT}-1.0.0.json`);

  beforeEach(async () => {
    await sign(1);
    await propose(1);
  });

  async function tamper(change: (proposal: Proposal) => void): Promise<void> {
    const proposal = JSON.parse(await readFile(file(), 'utf8')) as Proposal;
    change(proposal);
    await writeFile(file(), JSON.stringify(proposal));
  }

  it('does not sign what the proposal does not name', async () => {
    await tamper(({ role }) => {
      role.signed.targets[`${PRODUCT}/other.bin`] = { length: 1, hashes: { sha256: '0'.repeat(64) } };
    });
    expect(await refused(() => cosign(1))).toBe('PROPOSAL_TAMPERED');
  });

  it('does not sign a role that lives longer than 90 days', async () => {
    await tamper(({ role }) => (role.signed.expires = '2036-01-01T00:00:00Z'));
    expect(await refused(() => cosign(1))).toBe('PROPOSAL_TAMPERED');
  });

  it('does not sign another bundle than the listed one', async () => {
    await tamper((proposal) => (proposal.files = [Buffer.from('{}').toString('base64')]));
    expect(await refused(() => cosign(1))).toBe('PROPOSAL_TAMPERED');
  });

  it('does not sign over a role that has moved on', async () => {
    await tamper(({ role }) => (role.signed.version = 1));
    expect(await refused(() => cosign(1))).toBe('PROPOSAL_STALE');
    await tamper(({ role }) => (role.signed.version = 5));
    expect(await refused(() => cosign(1))).toBe('PROPOSAL_AHEAD');
  });

  it('does not sign another image than the one at hand', async () => {
    expect(await refused(() => cosign(1, '--image', 'fw-2.raucb'))).toBe('IMAGE_DIGEST');
  });

  it('does not take a damaged file, or one that is not there', async () => {
    await writeFile(file(), '{"_type":"tidegate-proposal"}');
    expect(await refused(() => cosign(1))).toBe('PROPOSAL_MALFORMED');
    expect(await refused(() => desk.run('release', 'cosign', 'none.json', '--key', FRANK))).toBe(
      'FILE_UNREADABLE',
    );
  });
});
