/**
 * Bad input as people type it: each a code and an exit code, and afterwards every row, every stored file and every signed document is as it
 * was. What only a forged request can send stands in `api.test.ts` and in `publishing/publish.test.ts`.
 */
import { cp, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateKey, writeKeyFile } from '@tidegate/signer/keys';
import { testDatabase } from '../../../test/support/postgres.ts';
import { PRODUCT } from '../../publishing/desk.fixture.ts';
import { type Ran, Typing } from './typing.fixture.ts';

let typing: Typing;
const path = (name: string): string => join(typing.home, name);
const key = (who: string): string[] => ['--key', `.tidegate/keys/${who}/${PRODUCT}.key.json`];
const what = (version: string, change: Record<string, string> = {}): string[] =>
  Object.entries({
    product: PRODUCT,
    version,
    hardware: 'dc150-r2',
    'security-version': '1',
    ...change,
  }).flatMap(([name, value]) => [`--${name}`, value]);

const sign = (version: string, ...more: string[]): Promise<Ran> =>
  typing.signer('sign', `fw-${version}.img`, ...what(version), ...more);
/** @param files whose image and whose bundle, when not the version's own */
const propose = (
  version: string,
  change: Record<string, string> = {},
  { image = `fw-${version}.img`, bundle = `fw-${version}.img.sigstore.json` } = {},
): Promise<Ran> => {
  const files = ['release', 'propose', image, '--bundle', bundle, '--json'];
  return typing.signer(...files, ...what(version, change), ...key('erin'));
};
const cosign = (version: string): Promise<Ran> =>
  typing.signer('release', 'cosign', `${PRODUCT}@${version}`, ...key('frank'));

async function build(version: string): Promise<void> {
  await writeFile(path(`fw-${version}.img`), `firmware ${version}`);
  await sign(version);
}

beforeAll(async () => {
  typing = await Typing.open((await testDatabase()).db);
  await typing.service.addFleet(8);
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) await build(version);
  await propose('1.0.0');
  await cosign('1.0.0');
  // A desk that knows nothing of what the other one publishes.
  await cp(path('.tidegate'), path('other'), { recursive: true });
  expect((await typing.run('erin', 'publish')).exit).toBe(0);
});
afterAll(async () => {
  await typing.close();
  expect(typing.service.faults).toEqual([]);
});

async function refused(work: () => Promise<Ran>, code: string): Promise<void> {
  const before = await typing.state();
  const ran = await work();
  expect([ran.json.error?.code, ran.exit > 0]).toEqual([code, true]);
  expect(await typing.state()).toEqual(before);
}

test('publishing the same thing twice is no error and changes nothing', async () => {
  const before = await typing.state();
  for (const name of [[], [`${PRODUCT}@1.0.0`]]) {
    const again = await typing.run('erin', 'publish', ...name);
    expect([again.exit, again.json['changed']]).toEqual([0, false]);
  }
  expect(await typing.state()).toEqual(before);
});

describe('at the desk', () => {
  test('an image that is not the one signed', () =>
    refused(() => propose('1.1.0', {}, { image: 'fw-1.2.0.img' }), 'BUNDLE_INVALID'));

  test('a bundle by an unknown identity', async () => {
    await writeKeyFile(path('stranger.key.json'), generateKey('ecdsa-sha2-nistp256'), 'secret', {
      cost: { N: 16, r: 1, p: 1 },
    });
    typing.env['TIDEGATE_PASSPHRASE'] = 'secret';
    await sign('1.1.0', '--key', 'stranger.key.json');
    delete typing.env['TIDEGATE_PASSPHRASE'];
    await refused(() => propose('1.1.0'), 'BUILDER_UNKNOWN');
    await sign('1.1.0');
  });

  test.each([
    ['version', { version: '1.1.1' }],
    ['security version', { 'security-version': '2' }],
  ])('custom that disagrees with the attested statement: %s', (_name, change) =>
    refused(() => propose('1.1.0', change), 'STATEMENT_MISMATCH'),
  );

  test('an unknown product', () =>
    refused(() => propose('1.1.0', { product: 'acme.none' }), 'PRODUCT_UNKNOWN'));

  test('a second time the same version, with other bytes', async () => {
    await writeFile(path('again.img'), 'other bytes');
    await typing.signer('sign', 'again.img', ...what('1.0.0'));
    const files = { image: 'again.img', bundle: 'again.img.sigstore.json' };
    await refused(() => propose('1.0.0', {}, files), 'PROPOSAL_EXISTS');
  });
});

describe('to the service', () => {
  test('a role signed by one of two', async () => {
    await propose('1.1.0');
    for (const name of [[], [`${PRODUCT}@1.1.0`]]) {
      await refused(() => typing.run('erin', 'publish', ...name), 'SIGNATURES_MISSING');
    }
  });

  test('an image that was swapped or cut short after it was signed', async () => {
    await cosign('1.1.0');
    for (const change of [
      () => writeFile(path('fw-1.1.0.img'), 'firmware 6.6.6'),
      () => truncate(path('fw-1.1.0.img'), 5),
    ]) {
      await change();
      await refused(() => typing.run('erin', 'publish'), 'UPLOAD_MISMATCH');
    }
    await writeFile(path('fw-1.1.0.img'), 'firmware 1.1.0');
    expect((await typing.run('erin', 'publish')).json).toMatchObject({ changed: true });
  });

  test('another desk publishes the version with other bytes', async () => {
    typing.env['TIDEGATE_HOME'] = 'other';
    await writeFile(path('fw-1.1.0.img'), 'another 1.1.0');
    await sign('1.1.0');
    await propose('1.1.0');
    await cosign('1.1.0');
    await refused(() => typing.run('erin', 'publish'), 'VERSION_EXISTS');
    await refused(() => typing.run('erin', 'publish', `${PRODUCT}@1.1.0`), 'VERSION_EXISTS');
    delete typing.env['TIDEGATE_HOME'];
  });

  const rollout = ['rollout', 'create', '--product', PRODUCT, '--version', '1.0.0', '--reason', 'r'];
  test.each<[string, string, string[]]>([
    ['waves over 100 %', 'PLAN_INVALID', [...rollout, '--waves', '70%,40%']],
    ['no hold-back', 'PLAN_INVALID', [...rollout, '--canary', '2', '--waves', '6', '--hold-back', '0']],
    ['waves that leave no hold-back', 'PLAN_INVALID', [...rollout, '--canary', '2', '--waves', '6']],
    ['a plan that is no JSON', 'PLAN_UNREADABLE', [...rollout, '--plan', 'fw-1.0.0.img']],
    ['an unknown version', 'RELEASE_UNKNOWN', [...rollout, '--version', '9.9.9']],
    ['a rollout of an unknown product', 'PRODUCT_UNKNOWN', [...rollout, '--product', 'acme.none']],
    [
      'a charger of an unknown product',
      'PRODUCT_UNKNOWN',
      ['fleet', 'token', 'X-1', '--product', 'acme.none', '--hardware', 'dc150-r2', '--site', 'site-0'],
    ],
    [
      'a charger of unknown hardware',
      'HARDWARE_UNKNOWN',
      ['fleet', 'token', 'X-1', '--product', PRODUCT, '--hardware', 'dc150-r22', '--site', 'site-0'],
    ],
  ])('%s', (_name, code, args) => refused(() => typing.run('alice', ...args), code));
});
