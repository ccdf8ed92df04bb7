/** Looking after published releases at the desk: every kind of change, what a cosigner reads, and what a cosigner refuses. */
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { generateKey, writeKeyFile } from '../keys/index.ts';
import { type Change, type Proposal, readWorkingCopy } from '../repository/index.ts';
import { type Desk, FAST_SCRYPT, openDesk, type Run } from './desk.fixture.ts';

const PRODUCT = 'acme.dc150';
const ERIN = ['--key', `.tidegate/keys/erin/${PRODUCT}.key.json`];
const FRANK = ['--key', `.tidegate/keys/frank/${PRODUCT}.key.json`];
const DAY = 24 * 60 * 60 * 1000;
const SAID = ['--product', PRODUCT, '--hardware', 'dc150-r2', '--security-version', '3'];

let desk: Desk;
let template: Desk;

beforeAll(async () => {
  desk = await openDesk();
  await desk.run('init');
  await desk.run('product', 'add', PRODUCT, '--hardware', 'dc150-r2');
  await writeFile(desk.path('sbom.json'), '{"bomFormat":"CycloneDX","specVersion":"1.6","components":[]}');
  await release('1.0.0');
  await release('1.1.0');
  template = desk;
});
afterAll(() => template.close());
beforeEach(async () => {
  desk = await openDesk();
  await cp(template.folder, desk.folder, { recursive: true });
});
afterEach(() => desk.close());

async function ok(...args: string[]): Promise<Run> {
  const run = await desk.run(...args);
  expect([args, run.exit, run.json['error']]).toEqual([args, 0, undefined]);
  return run;
}

const sign = async (version: string, ...more: string[]) => {
  await writeFile(desk.path(`fw-${version}.bin`), `firmware ${version}`);
  return ok('sign', `fw-${version}.bin`, ...SAID, '--version', version, ...more);
};
const propose = (version: string, ...more: string[]) => {
  const files = [`fw-${version}.bin`, '--bundle', `fw-${version}.bin.sigstore.json`];
  return desk.run('release', 'propose', ...files, ...SAID, '--version', version, ...ERIN, ...more);
};
const cosign = (name = PRODUCT) => desk.run('release', 'cosign', name, ...FRANK);

async function release(version: string, ...more: string[]): Promise<void> {
  await sign(version);
  expect((await propose(version, ...more)).exit).toBe(0);
  expect((await cosign()).exit).toBe(0);
}

const upkeep = (kind: string, name: string, ...more: string[]) =>
  desk.run('release', kind, name, ...more, ...ERIN);
const at = (version: string) => `${PRODUCT}@${version}`;

async function signedRole() {
  const role = (await readWorkingCopy(desk.path('.tidegate/repository'))).products.get(PRODUCT)!.metadata;
  return role.signed;
}
const pathOf = (version: string) => `${PRODUCT}/dc150-${version}.bin`;
const customOf = async (version: string) => (await signedRole()).targets[pathOf(version)]?.custom;

/** Proposes, cosigns, and returns what the cosigner read. */
async function through(kind: string, name: string, ...more: string[]): Promise<string> {
  const proposed = await upkeep(kind, name, ...more);
  expect([proposed.exit, proposed.json['complete']]).toEqual([0, false]);
  const before = await signedRole();
  const said = await desk.say('release', 'cosign', PRODUCT, ...FRANK);
  expect(said.exit).toBe(0);
  expect((await signedRole()).version).toBe(before.version + 1);
  return said.out.join('\n');
}

/** A second builder, in a policy that two holders of targets keys would sign; here the service's first start still waits. */
async function anotherBuilder(name = 'again.key.json'): Promise<void> {
  await writeKeyFile(desk.path(name), generateKey('ecdsa-sha2-nistp256'), 'x', { cost: FAST_SCRYPT });
  await writeFile(desk.path('passphrase'), 'x\n');
}

describe('a change of a published release', () => {
  it('attest adds a bundle and drops one, and changes nothing else', async () => {
    const before = await signedRole();
    await ok('reattest', at('1.1.0'), '--out', 'again.json');
    const words = await through('attest', at('1.1.0'), '--bundle', 'again.json');
    expect(words).toContain(`adds ${pathOf('1.1.0')}.2.sigstore.json, by key`);
    expect(words).toContain('and nothing else');
    const after = await signedRole();
    const [first, second] = after.targets[pathOf('1.1.0')]!.custom!.bundles;
    expect(second!.path).toBe(`${pathOf('1.1.0')}.2.sigstore.json`);
    const expected = structuredClone(before.targets);
    expected[pathOf('1.1.0')]!.custom!.bundles.push(second!);
    expect(after.targets).toEqual(expected);

    const dropped = await through('attest', at('1.1.0'), '--remove', first!.path);
    expect(dropped).toContain(`drops the bundle ${first!.path}`);
    expect((await customOf('1.1.0'))?.bundles).toEqual([second]);
    expect((await upkeep('attest', at('1.1.0'), '--remove', second!.sha256)).code).toBe('BUNDLE_MISSING');
  });

  it('attest gives an SBOM to a release that had none', async () => {
    await sign('1.1.0', '--sbom', 'sbom.json');
    const words = await through('attest', at('1.1.0'), '--sbom', 'fw-1.1.0.bin.sbom.sigstore.json');
    expect(words).toContain('its SBOM is');
    expect((await customOf('1.1.0'))?.sbom?.path).toBe(`${pathOf('1.1.0')}.sbom.sigstore.json`);
    const other = await upkeep('attest', at('1.0.0'), '--sbom', 'fw-1.1.0.bin.sbom.sigstore.json');
    expect(other.code).toBe('SBOM_INVALID');
  });

  it('deprecate says why, and is taken back', async () => {
    const words = await through('deprecate', at('1.0.0'), '--reason', 'the \u001B[31mdisplay flickers');
    expect(words).toContain('because: the [31mdisplay flickers');
    expect(words).toContain('no new rollout');
    expect((await customOf('1.0.0'))?.deprecated).toContain('flickers');
    expect((await upkeep('deprecate', at('1.0.0'), '--reason', 'the \u001B[31mdisplay flickers')).code).toBe(
      'NOTHING_CHANGES',
    );
    await through('deprecate', at('1.0.0'), '--undo');
    expect(await customOf('1.0.0')).not.toHaveProperty('deprecated');
    expect((await upkeep('deprecate', at('1.0.0'), '--undo')).code).toBe('NOTHING_CHANGES');
    expect(await upkeep('deprecate', at('1.0.0'))).toMatchObject({ code: 'OPTION_INVALID', exit: 2 });
  });

  it('amend changes what it names: ways back near their end, notes, CVEs', async () => {
    const [before] = (await customOf('1.1.0'))!.fallback;
    desk.now += 80 * DAY;
    const words = await through('amend', at('1.1.0'), '--renew-fallbacks');
    const [after] = (await customOf('1.1.0'))!.fallback;
    expect(after).toEqual({ ...before!, expires: (await signedRole()).expires });
    expect(Date.parse(after!.expires) - Date.parse(before!.expires)).toBe(80 * DAY);
    expect(words).toContain(`may go back to ${pathOf('1.0.0')} until ${after!.expires}`);

    const notes = await through('amend', at('1.1.0'), '--notes', 'Better', '--cve', 'CVE-2026-1');
    expect(notes).toContain('notes: Better');
    expect(await customOf('1.1.0')).toMatchObject({
      notes: 'Better',
      cves: ['CVE-2026-1'],
      fallback: [after],
    });
    const none = await through('amend', at('1.1.0'), '--fallback', 'none');
    expect(none).toContain(`no longer back to ${pathOf('1.0.0')}`);
    expect((await customOf('1.1.0'))?.fallback).toEqual([]);
    expect((await upkeep('amend', at('1.1.0'))).code).toBe('NOTHING_CHANGES');
  });

  it('yank takes it out of the role and out of the ways back; proposed again, it is listed again', async () => {
    const words = await through('yank', at('1.0.0'), '--reason', 'it leaves the contactor closed');
    expect(words).toContain('because: it leaves the contactor closed');
    expect(words).toContain('1.1.0 can no longer go back to it');
    expect(Object.keys((await signedRole()).targets)).toEqual([pathOf('1.1.0')]);
    expect((await customOf('1.1.0'))?.fallback).toEqual([]);
    expect((await upkeep('yank', at('1.0.0'), '--reason', 'again')).code).toBe('RELEASE_UNKNOWN');
    expect((await propose('1.0.0')).exit).toBe(0);
    expect((await cosign()).exit).toBe(0);
    expect(await customOf('1.0.0')).toBeDefined();
  });

  it('renew gives the role a full life, and nothing else', async () => {
    const before = await signedRole();
    desk.now += 60 * DAY;
    expect(await through('renew', PRODUCT)).toContain('nothing but version and expiry changes');
    const { version, expires, ...rest } = await signedRole();
    expect({ ...rest, version: version - 1, expires: before.expires }).toEqual(before);
    expect(Date.parse(expires) - Date.parse(before.expires)).toBe(60 * DAY);
  });

  it('waits like a release, is listed like one, and keeps others of its product waiting', async () => {
    await upkeep('renew', PRODUCT);
    const { json } = await desk.run('release', 'list');
    expect((json['releases'] as object[]).at(-1)).toMatchObject({
      kind: 'renew',
      version: null,
      complete: false,
    });
    expect((await upkeep('yank', at('1.0.0'), '--reason', 'x')).code).toBe('PROPOSAL_PENDING');
    expect((await desk.run('release', 'show', PRODUCT)).json).toMatchObject({
      kind: 'renew',
      adopted: false,
    });
    await cosign();
    const done = await desk.say('release', 'list');
    expect(done.out.at(-1)).toContain(`${PRODUCT} (renew)  2 of 2 signatures, ready to publish`);
    expect((await cosign(`.tidegate/releases/${PRODUCT}.renew-4.json`)).code).toBe('PROPOSAL_COMPLETE');
  });

  it('is refused for a release that is not listed, and by a bundle that the policy does not know', async () => {
    for (const [kind, ...more] of [
      ['attest', '--remove', 'a'.repeat(64)],
      ['amend', '--notes', 'x'],
      ['deprecate', '--reason', 'x'],
      ['yank', '--reason', 'x'],
    ] as const) {
      expect((await upkeep(kind, at('9.9.9'), ...more)).code).toBe('RELEASE_UNKNOWN');
      expect(await upkeep(kind, PRODUCT, ...more)).toMatchObject({ code: 'OPTION_INVALID', exit: 2 });
    }
    expect((await upkeep('renew', 'acme.other')).code).toBe('PRODUCT_UNKNOWN');
    for (const unknown of ['nothing', 'a'.repeat(64)]) {
      expect((await upkeep('attest', at('1.1.0'), '--remove', unknown)).code).toBe('BUNDLE_UNKNOWN');
    }
    expect((await upkeep('attest', at('1.1.0'))).code).toBe('NOTHING_CHANGES');
    const own = ['--bundle', 'fw-1.1.0.bin.sigstore.json'];
    expect((await upkeep('attest', at('1.1.0'), ...own)).code).toBe('BUNDLE_LISTED');
    expect((await upkeep('attest', at('1.0.0'), ...own)).code).toBe('BUNDLE_INVALID');
    await anotherBuilder();
    await ok('reattest', at('1.1.0'), '--key', 'again.key.json', '--out', 'again.json');
    expect((await upkeep('attest', at('1.1.0'), '--bundle', 'again.json')).code).toBe('BUILDER_UNKNOWN');
  });

  it('is no release that is listed already', async () => {
    const copy = await readdir(desk.path('.tidegate/releases'));
    expect(copy).toHaveLength(2);
    expect((await propose('1.1.0')).code).toBe('PROPOSAL_EXISTS');
  });
});

describe('a release with an SBOM', () => {
  it('is proposed and cosigned with it, and says so', async () => {
    await sign('1.2.0', '--sbom', 'sbom.json');
    expect((await propose('1.2.0', '--sbom', 'fw-1.2.0.bin.sbom.sigstore.json')).exit).toBe(0);
    const { out } = await desk.say('release', 'cosign', ...FRANK);
    expect(out.join('\n')).toContain('with an attested SBOM, verified');
    expect((await customOf('1.2.0'))?.sbom?.path).toBe(`${pathOf('1.2.0')}.sbom.sigstore.json`);
  });

  it('is not proposed with the SBOM of another image, nor with one that is none', async () => {
    await sign('1.2.0', '--sbom', 'sbom.json');
    await sign('1.3.0', '--sbom', 'sbom.json');
    const with_ = (file: string) => propose('1.2.0', '--sbom', file);
    expect((await with_('fw-1.3.0.bin.sbom.sigstore.json')).code).toBe('SBOM_INVALID');
    expect((await with_('fw-1.2.0.bin.sigstore.json')).code).toBe('SBOM_INVALID');
    expect((await with_('sbom.json')).code).toBe('SBOM_INVALID');
  });
});

describe('a cosigner refuses', () => {
  const proposing: Record<Change['kind'], () => Promise<Run>> = {
    release: async () => {
      await sign('1.2.0');
      return propose('1.2.0');
    },
    attest: async () => {
      await ok('reattest', at('1.1.0'), '--out', 'again.json');
      return upkeep('attest', at('1.1.0'), '--bundle', 'again.json');
    },
    amend: () => upkeep('amend', at('1.1.0'), '--notes', 'Better'),
    deprecate: () => upkeep('deprecate', at('1.1.0'), '--reason', 'old'),
    yank: () => upkeep('yank', at('1.1.0'), '--reason', 'bad'),
    renew: () => upkeep('renew', PRODUCT),
  };
  const kinds = Object.keys(proposing) as Change['kind'][];

  /** The proposal after somebody has been at its file. */
  async function tampered(kind: Change['kind'], change: (proposal: Proposal) => void): Promise<Run> {
    const { json } = await proposing[kind]();
    const file = json['proposal'] as string;
    const proposal = JSON.parse(await readFile(file, 'utf8')) as Proposal;
    change(proposal);
    await writeFile(file, JSON.stringify(proposal));
    const before = await signedRole();
    const run = await cosign(file);
    expect(await signedRole()).toEqual(before);
    expect(await readFile(file, 'utf8')).toBe(JSON.stringify(proposal));
    return run;
  }

  const targets = ({ role }: Proposal) => role.signed.targets;
  const one = (proposal: Proposal) => targets(proposal)[pathOf('1.0.0')]!;

  describe.each(kinds)('%s', (kind) => {
    it.each<[string, string, (proposal: Proposal) => void]>([
      ['notes of another release', 'PROPOSAL_TAMPERED', (p) => (one(p).custom!.notes = 'x')],
      [
        'a fallback of another release',
        'PROPOSAL_TAMPERED',
        (p) =>
          one(p).custom!.fallback.push({
            path: pathOf('1.1.0'),
            sha256: 'a'.repeat(64),
            expires: '2027-01-01T00:00:00Z',
            auto: true,
          }),
      ],
      ['other bytes of another release', 'PROPOSAL_TAMPERED', (p) => (one(p).hashes.sha256 = 'a'.repeat(64))],
      ['another release taken away', 'PROPOSAL_TAMPERED', (p) => delete targets(p)[pathOf('1.0.0')]],
      [
        'a release slipped in',
        'PROPOSAL_TAMPERED',
        (p) => (targets(p)[`${PRODUCT}/other.bin`] = { length: 1, hashes: { sha256: '0'.repeat(64) } }),
      ],
      [
        'a delegation slipped in',
        'PROPOSAL_TAMPERED',
        (p) => (p.role.signed.delegations = { keys: {}, roles: [] }),
      ],
      ['a longer life', 'PROPOSAL_TAMPERED', (p) => (p.role.signed.expires = '2036-01-01T00:00:00Z')],
      ['a life that is over', 'PROPOSAL_TAMPERED', (p) => (p.role.signed.expires = '2026-01-01T00:00:00Z')],
      ['another version of the role', 'PROPOSAL_AHEAD', (p) => (p.role.signed.version = 9)],
      ['a file that nothing lists', 'PROPOSAL_TAMPERED', (p) => p.files.push('e30=')],
      ['an unknown kind', 'PROPOSAL_MALFORMED', (p) => Object.assign(p.change, { kind: 'rename' })],
      ['a member that nobody is shown', 'PROPOSAL_MALFORMED', (p) => Object.assign(p.change, { also: 1 })],
    ])('%s', async (_, code, change) => {
      expect((await tampered(kind, change)).code).toBe(code);
    });
  });

  it('a change under the name of another kind', async () => {
    const renamed = await tampered('yank', (p) => (p.change = { kind: 'renew' }));
    expect(renamed.code).toBe('PROPOSAL_TAMPERED');
  });

  it('an attestation other than the one that is listed, or none', async () => {
    expect((await tampered('attest', (p) => p.files.splice(0))).code).toBe('PROPOSAL_TAMPERED');
  });

  it('a listed release as if it were a new one', async () => {
    const { code } = await tampered('amend', (p) => {
      const path = pathOf('1.1.0');
      const { hashes, length, custom } = targets(p)[path]!;
      p.change = { kind: 'release', target: { path, sha256: hashes.sha256, length, custom: custom! } };
    });
    expect(code).toBe('RELEASE_EXISTS');
  });
});
