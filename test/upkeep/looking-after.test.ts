/**
 * What people do with releases after they are out, on a real service with real chargers: the build's key is stolen, a policy begins to ask
 * for SBOMs, a release is deprecated, another one yanked.
 */
import { randomBytes } from 'node:crypto';
import { readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fleetClock } from '@tidegate/client-sdk/agent';
import type { Builder, Clock, ProductPolicy } from '@tidegate/client-sdk/protocol';
import { generateKey, hintOf, writeKeyFile } from '@tidegate/signer/keys';
import { DemoCommandError } from '../../demo/people.ts';
import { PRODUCT, release, type Release } from '../../demo/releases.ts';
import { type Fleet, makeFleet } from '../chaos/fleet.ts';
import { clockFile, install, type Installation } from '../support/installation.ts';
import { signPolicy, withProduct } from '../support/policy.ts';

const SPEED = 1_200;
const EVENING = Date.parse('2026-11-22T18:00:00Z');
const PATIENCE_MS = 8 * 60_000;
const PLAN = {
  canary: { size: { count: 2 }, soak: { hours: 1 }, approvals: 0 },
  waves: [{ size: { count: 2 }, soak: { hours: 1 }, approvals: 0 }],
  holdBack: { count: 2 },
  approvals: 1,
  limits: { perSite: 2, inFlight: 6 },
  deadlineHours: 200,
  // Six chargers are too few to tell an effect from a frail one.
  detector: { alpha: 1e-9 },
  watchHours: 480,
};

let installation: Installation;
let fleet: Fleet;
let clock: Clock;
let images: { first: Release; second: Release };
const successor = generateKey('ecdsa-sha2-nistp256');

beforeAll(async () => {
  installation = await install({ fleet: EVENING, speed: SPEED });
  clock = fleetClock(clockFile(installation.folder));
  const [one, two] = await Promise.all(['1.0.0', '1.1.0'].map(newImage));
  const first = await release(installation.people, { ...one!, fallback: ['none'], adopt: true });
  const second = await release(installation.people, { ...two!, fallback: ['1.0.0'] });
  images = { first, second };
  fleet = await makeFleet(installation, {
    chargers: 6,
    factory: first,
    image: one!.image,
    clock,
    seed: 'upkeep-1',
  });
  fleet.run();
  await rm(path.join(installation.folder, 'successor'), { recursive: true, force: true });
  const keyFile = path.join(installation.folder, 'successor', 'build.key.json');
  await writeKeyFile(keyFile, successor, 'x', { cost: { N: 16, r: 1, p: 1 } });
  await writeFile(path.join(installation.folder, 'successor', 'passphrase'), 'x\n');
  await writeFile(
    path.join(installation.folder, 'sbom.json'),
    '{"bomFormat":"CycloneDX","specVersion":"1.6","components":[]}',
  );
}, PATIENCE_MS);
afterAll(async () => {
  await fleet?.stop();
  await installation?.remove();
});

async function newImage(version: string) {
  const image = path.join(installation.folder, 'images', `dc150-${version}.bin`);
  await writeFile(image, randomBytes(200_000));
  return { version, image, notes: '', hardware: 'dc150-r2' };
}

const erin = <T = Record<string, unknown>>(...args: string[]) => installation.people.as<T>('erin', ...args);
const at = (version: string) => `${PRODUCT}@${version}`;

/** Proposed by one engineer, cosigned by another, published. */
async function change(kind: string, name: string, ...more: string[]): Promise<Record<string, unknown>> {
  await erin('release', kind, name, ...more);
  await installation.people.as('frank', 'release', 'cosign', PRODUCT);
  return erin('publish', name);
}

/** Code of the command's error, or `done`. */
async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (error instanceof DemoCommandError) return error.code;
    throw error;
  }
}

/** Signs the next policy and publishes it; one that is refused is put aside, as if it had never been signed. */
async function publishPolicy(edit: (policy: ProductPolicy) => Partial<ProductPolicy>): Promise<string> {
  await signPolicy(installation.home, clock.now(), withProduct(PRODUCT, edit));
  const code = await codeOf(erin('publish'));
  if (code === 'done') return code;
  const folder = path.join(installation.home, 'repository');
  const versions = (await readdir(folder)).flatMap((name) => /^(\d+)\.targets\.json$/.exec(name)?.[1] ?? []);
  await rm(path.join(folder, `${Math.max(...versions.map(Number))}.targets.json`));
  return code;
}

const compromised = (policy: ProductPolicy) => ({
  builders: policy.builders.map((one): Builder =>
    one.kind === 'key' && one.keyId === hintOf(successor.publicKey) ? one : { ...one, state: 'compromised' },
  ),
});

interface Shown {
  status: string;
  evidence: { sentence: string } | null;
  pausedBecause: string | null;
}

async function rollOut(version: string): Promise<string> {
  const plan = path.join(installation.folder, 'plan.json');
  await writeFile(plan, JSON.stringify(PLAN));
  const words = ['--product', PRODUCT, '--version', version, '--plan', plan, '--reason', 'test'];
  const { id } = await installation.people.as<{ id: string }>('alice', 'rollout', 'create', ...words);
  await installation.people.as('bob', 'rollout', 'approve', id, '--reason', 'test');
  return id;
}

async function until(id: string, status: string): Promise<void> {
  for (;;) {
    const shown = await installation.people.as<Shown>('bob', 'rollout', 'show', id);
    if (shown.status === status) return;
    // What goes back was halted first.
    const evidence = status === 'COMPLETED' ? shown.evidence : null;
    expect([shown.status, evidence, shown.pausedBecause]).toEqual([expect.any(String), null, null]);
    await delay(300);
  }
}

/** Whether every charger runs this image, by what it last said. */
async function everybodyRuns({ version, sha256 }: Release): Promise<void> {
  const { chargers } = await installation.people.as<{ chargers: { running: unknown }[] }>(
    'alice',
    'fleet',
    'list',
  );
  expect(chargers.map(({ running }) => running)).toEqual(
    chargers.map(() => expect.objectContaining({ version, sha256 }) as unknown),
  );
}

let rolledOut: string;

test(
  'the build key is stolen: attested again with another key, known-good images outlive it',
  async () => {
    rolledOut = await rollOut('1.1.0');
    await until(rolledOut, 'COMPLETED');
    await everybodyRuns(images.second);

    // Without the new attestations the fleet would be cut off, and nobody is let do that by mistake.
    expect(await publishPolicy(compromised)).toBe('WOULD_STRAND');
    // Nor are they listed before the policy knows who made them.
    for (const version of ['1.0.0', '1.1.0']) {
      await erin('reattest', at(version), '--key', 'successor/build.key.json');
    }
    const bundle = (version: string) => ['--bundle', `${PRODUCT}-${version}.again.sigstore.json`];
    expect(await codeOf(erin('release', 'attest', at('1.0.0'), ...bundle('1.0.0')))).toBe('BUILDER_UNKNOWN');
    const joined = await publishPolicy((policy) => ({
      builders: [
        ...policy.builders,
        {
          kind: 'key',
          keyId: hintOf(successor.publicKey),
          publicKey: successor.publicKey,
          state: 'active',
        },
      ],
    }));
    expect(joined).toBe('done');
    for (const version of ['1.0.0', '1.1.0']) {
      expect(await change('attest', at(version), ...bundle(version))).toMatchObject({
        changedReleases: [{ version }],
      });
    }
    expect(await publishPolicy(compromised)).toBe('done');

    // The fallback of the running image is still accepted by the chargers …
    await installation.people.as('alice', 'rollout', 'rollback', rolledOut, '--reason', 'test');
    await until(rolledOut, 'ROLLED_BACK');
    await everybodyRuns(images.first);
    // … and the release installs anew; its dead bundle goes.
    await change('attest', at('1.1.0'), '--remove', `${images.second.path}.sigstore.json`);
    const again = await rollOut('1.1.0');
    await until(again, 'COMPLETED');
    await everybodyRuns(images.second);
    // Nothing more can be signed with the stolen key.
    await newImage('1.2.0');
    const facts = [
      '--product',
      PRODUCT,
      '--version',
      '1.2.0',
      '--hardware',
      'dc150-r2',
      '--security-version',
      '1',
    ];
    await erin('sign', 'images/dc150-1.2.0.bin', ...facts);
    const proposed = ['images/dc150-1.2.0.bin', '--bundle', 'images/dc150-1.2.0.bin.sigstore.json'];
    expect(await codeOf(erin('release', 'propose', ...proposed, ...facts))).toBe('BUILDER_REVOKED');
  },
  PATIENCE_MS,
);

test(
  'a policy begins to ask for SBOMs: published images get theirs first, and what has none is not released',
  async () => {
    expect(await publishPolicy(() => ({ sbom: 'required' }))).toBe('WOULD_STRAND');
    const key = ['--key', 'successor/build.key.json'];
    for (const version of ['1.0.0', '1.1.0']) {
      await erin('reattest', at(version), ...key, '--sbom', 'sbom.json');
      await change('attest', at(version), '--sbom', `${PRODUCT}-${version}.again.sbom.sigstore.json`);
    }
    expect(await publishPolicy(() => ({ sbom: 'required' }))).toBe('done');

    const file = 'images/dc150-1.2.0.bin';
    const facts = [
      '--product',
      PRODUCT,
      '--version',
      '1.2.0',
      '--hardware',
      'dc150-r2',
      '--security-version',
      '1',
    ];
    await erin('sign', file, ...facts, ...key, '--sbom', 'sbom.json');
    const bundle = ['--bundle', `${file}.sigstore.json`];
    expect(await codeOf(erin('release', 'propose', file, ...bundle, ...facts))).toBe('SBOM_MISSING');
    await erin('release', 'propose', file, ...bundle, ...facts, '--sbom', `${file}.sbom.sigstore.json`);
    await installation.people.as('frank', 'release', 'cosign', at('1.2.0'));
    await erin('publish', at('1.2.0'));
    const shown = await erin<Release & { sbom: object }>('release', 'show', at('1.2.0'));
    expect(shown.sbom).toMatchObject({ path: expect.stringContaining('.sbom.sigstore.json') as string });
    const id = await rollOut('1.2.0');
    await until(id, 'COMPLETED');
    await everybodyRuns(shown);
  },
  PATIENCE_MS,
);

test(
  'a deprecated release is planned no more, a yanked one is gone, and whoever runs it runs on',
  async () => {
    await change('deprecate', at('1.1.0'), '--reason', 'the display flickers');
    const plan = (version: string) => {
      const words = ['--product', PRODUCT, '--version', version, '--reason', 'test'];
      return installation.people.as('alice', 'rollout', 'create', ...words);
    };
    expect(await codeOf(plan('1.1.0'))).toBe('RELEASE_DEPRECATED');
    await change('deprecate', at('1.1.0'), '--undo');

    await change('renew', PRODUCT);
    // Whoever runs 1.2.0 would lose the way back, and nobody does that to them by mistake.
    await erin('release', 'yank', at('1.1.0'), '--reason', 'it leaves the contactor closed');
    await installation.people.as('frank', 'release', 'cosign', PRODUCT);
    expect(await codeOf(erin('publish'))).toBe('WOULD_STRAND');
    const { path: yanked } = images.second;
    expect(await erin('publish', '--strand', yanked)).toMatchObject({
      yanked: [yanked],
      changedReleases: [{ version: '1.2.0' }],
    });
    expect(await codeOf(plan('1.1.0'))).toBe('RELEASE_YANKED');
    // A way back for them is signed after the fact; then the running image itself may go, and keeps running.
    await change('amend', at('1.2.0'), '--fallback', '1.0.0');
    await change('yank', at('1.2.0'), '--reason', 'so does this one');
    expect(await erin('release', 'show', at('1.2.0'))).toMatchObject({
      yankedAt: expect.any(String) as string,
      chargers: 6,
    });
    const { entries } = await installation.people.as<{ entries: { reason: string }[] }>(
      'alice',
      'audit',
      'list',
    );
    expect(entries.map(({ reason }) => reason)).toContain(
      `${PRODUCT} 1.1.0 (yank): it leaves the contactor closed`,
    );
    await delay(1500);
    await everybodyRuns(await erin<Release>('release', 'show', at('1.2.0')));
  },
  PATIENCE_MS,
);
