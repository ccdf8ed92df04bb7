/** A release whose engineers sit at machines of their own: nothing is shared but the proposal's file, which is passed on. */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { publicationSteps, readWorkingCopy } from '../repository/index.ts';
import { type Desk, openDesk } from './desk.fixture.ts';
import { filesOf, findProposal } from './proposals.ts';
import { homeAt } from './home.ts';

const PRODUCT = 'acme.dc150';
const KEY = 'own.key.json';

let erin: Desk;
let frank: Desk;
/** Signs nothing, and keeps documents of her own. */
let grace: Desk;

beforeEach(async () => {
  const first = await openDesk();
  await first.run('init');
  await first.run('product', 'add', PRODUCT, '--hardware', 'dc150-r2');
  [erin, frank, grace] = [await openDesk(), await openDesk(), await openDesk()];
  for (const [desk, who] of [
    [erin, 'erin'],
    [frank, 'frank'],
    [grace, undefined],
  ] as const) {
    await mkdir(desk.path('.tidegate'));
    for (const part of ['repository', 'ceremony.json']) {
      await cp(first.path('.tidegate', part), desk.path('.tidegate', part), { recursive: true });
    }
    if (who === undefined) continue;
    await cp(first.path('.tidegate', 'keys', who, `${PRODUCT}.key.json`), desk.path(KEY));
    await cp(first.path('.tidegate', 'keys', who, 'passphrase'), desk.path('passphrase'));
  }
  await cp(first.path('.tidegate', 'keys', 'ci'), erin.path('ci'), { recursive: true });
  await first.close();
});

afterEach(() => Promise.all([erin.close(), frank.close(), grace.close()]));

const file = (version: string) => `${PRODUCT}-${version}.json`;
const kept = (version: string) => ['.tidegate', 'releases', file(version)] as const;

async function propose(version: string) {
  const what = ['--product', PRODUCT, '--version', version, '--hardware', 'dc150-r2'];
  const all = [...what, '--security-version', '1'];
  await writeFile(erin.path(`${version}.img`), `firmware ${version}`);
  await erin.run('sign', `${version}.img`, ...all, '--key', 'ci/build.key.json');
  const bundle = ['--bundle', `${version}.img.sigstore.json`];
  return erin.say('release', 'propose', `${version}.img`, ...bundle, ...all, '--key', KEY);
}

/** Frank gets the file in his post, signs it, and leaves it there for the others. */
async function cosign(version: string) {
  await cp(erin.path(...kept(version)), frank.path(file(version)));
  return frank.say('release', 'cosign', file(version), '--key', KEY);
}

async function versionAt(desk: Desk): Promise<number | undefined> {
  const { products } = await readWorkingCopy(desk.path('.tidegate', 'repository'));
  return products.get(PRODUCT)?.metadata.signed.version;
}

describe('a proposal that goes from machine to machine', () => {
  it('says at each step whom to send what', async () => {
    const proposed = await propose('1.0.0');
    expect(proposed.out.join('\n')).toContain('send them this file and the image');
    expect(proposed.out.join('\n')).toContain('--key <your key>');
    const cosigned = await cosign('1.0.0');
    expect(cosigned.err).toEqual([]);
    expect(cosigned.out.at(-1)).toContain(`tidegate release finish ${file('1.0.0')}`);
  });

  it('can be published by whoever took it in, with all that belongs to it', async () => {
    await propose('1.0.0');
    await cosign('1.0.0');
    for (const desk of [erin, grace]) {
      await cp(frank.path(file('1.0.0')), desk.path('mail.json'));
      expect((await desk.run('release', 'finish', 'mail.json')).json).toMatchObject({ complete: true });
    }
    for (const desk of [erin, frank, grace]) {
      expect(await versionAt(desk)).toBe(2);
      const home = homeAt(desk.path('.tidegate'));
      const { proposal } = await findProposal(home, desk.folder, `${PRODUCT}@1.0.0`);
      expect(filesOf(proposal).side).toHaveLength(1);
      const steps = await publicationSteps(home.repository, { root: 1, targets: 2, roles: { [PRODUCT]: 1 } });
      expect(steps.flatMap(({ products }) => Object.keys(products))).toEqual([PRODUCT]);
    }
    // Again is no harm, and the next release builds on it everywhere.
    expect((await erin.run('release', 'finish', 'mail.json')).json).toMatchObject({ adopted: true });
    expect((await propose('1.1.0')).err).toEqual([]);
    expect((await cosign('1.1.0')).err).toEqual([]);
  });

  it('is not taken in before all have signed, and whoever is missing is named', async () => {
    await propose('1.0.0');
    await cp(erin.path(...kept('1.0.0')), grace.path('mail.json'));
    const early = await grace.run('release', 'finish', 'mail.json');
    expect([early.exit, early.code]).toEqual([1, 'THRESHOLD_NOT_MET']);
    expect(await versionAt(grace)).toBe(1);
    expect(await readdir(grace.path('.tidegate'))).not.toContain('releases');
  });

  it('is not taken in before the one it builds on', async () => {
    await propose('1.0.0');
    await cosign('1.0.0');
    await erin.run('release', 'finish', frank.path(file('1.0.0')));
    await propose('1.1.0');
    await cosign('1.1.0');
    const second = ['release', 'finish', frank.path(file('1.1.0'))] as const;
    expect((await grace.run(...second)).code).toBe('PROPOSAL_AHEAD');
    await grace.run('release', 'finish', frank.path(file('1.0.0')));
    expect((await grace.run(...second)).exit).toBe(0);
    expect(await versionAt(grace)).toBe(3);
  });

  it('is not taken in where it does anything but what it names', async () => {
    await propose('1.0.0');
    await cosign('1.0.0');
    const proposal = JSON.parse(await readFile(frank.path(file('1.0.0')), 'utf8')) as {
      role: { signed: { expires: string } };
    };
    proposal.role.signed.expires = '2026-12-24T00:00:00Z';
    await writeFile(grace.path('mail.json'), JSON.stringify(proposal));
    expect((await grace.run('release', 'finish', 'mail.json')).code).toBe('THRESHOLD_NOT_MET');
    expect(await versionAt(grace)).toBe(1);
  });

  it('is taken back while it lacks signatures, and another one takes its place', async () => {
    await propose('1.0.0');
    expect((await erin.run('release', 'drop', `${PRODUCT}@1.0.0`)).exit).toBe(0);
    expect((await propose('1.0.0')).err).toEqual([]);
    await cosign('1.0.0');
    expect((await frank.run('release', 'drop', `${PRODUCT}@1.0.0`)).code).toBe('PROPOSAL_SIGNED');
  });
});
