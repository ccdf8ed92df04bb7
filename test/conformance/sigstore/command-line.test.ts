/** The executable itself, by its command line and exit codes, and what it does without a trusted root. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientUnderTest } from './testing/client.ts';
import { ARTIFACT, IDENTITY, Instance, ISSUER, keyPair } from './testing/instance.ts';

let sigstore: Instance;
let client: ClientUnderTest;

beforeAll(async () => {
  sigstore = await Instance.create();
  client = await ClientUnderTest.start();
});

afterAll(() => client.stop());

const EXECUTABLE = path.resolve(import.meta.dirname, '../sigstore-client');

async function execute(args: string[]): Promise<number> {
  try {
    await promisify(execFile)(EXECUTABLE, args);
    return 0;
  } catch (error) {
    return (error as { code: number }).code;
  }
}

it('verifies a file and a digest by an identity, and by a key', async () => {
  const artifact = await client.file('artifact', ARTIFACT);
  const digest = `sha256:${createHash('sha256').update(ARTIFACT).digest('hex')}`;
  const trustedRoot = sigstore.trustedRoot();
  const byIdentity = await client.args({ bundle: await sigstore.make(), trustedRoot });
  expect(await execute([...byIdentity, artifact])).toBe(0);
  expect(await execute([...byIdentity, digest])).toBe(0);
  expect(await execute([...byIdentity, artifact.replace('artifact', 'bundle.json')])).toBe(1);
  const key = keyPair();
  const byKey = await client.args({ bundle: await sigstore.make({ key }), trustedRoot, key: key.publicKey });
  expect(await execute([...byKey, artifact])).toBe(0);
});

it('takes a file for a file, though it is named like a digest', async () => {
  const digest = `sha256:${createHash('sha256').update('another').digest('hex')}`;
  const args = await client.args({ bundle: await sigstore.make(), trustedRoot: sigstore.trustedRoot() });
  expect(await client.run([...args, digest])).toBe(1);
  const here = process.cwd();
  await client.file(digest, ARTIFACT);
  try {
    process.chdir(client.folder);
    expect(await client.run([...args, digest]), client.said).toBe(0);
  } finally {
    process.chdir(here);
  }
});

describe('without a trusted root', () => {
  it.each([[[]], [['--staging']]])('it trusts the public instance, and not ours (%j)', async (more) => {
    const args = await client.args({ bundle: await sigstore.make(), more });
    expect(await client.run([...args, await client.file('artifact', ARTIFACT)])).toBe(1);
    expect(client.said).toContain('BUNDLE_INVALID');
  });
});

it('ends with 1 for whatever it does not understand', async () => {
  const file = await client.file('artifact', ARTIFACT);
  const bundle = await client.file('bundle.json', await sigstore.make());
  const identity = ['--certificate-identity', IDENTITY, '--certificate-oidc-issuer', ISSUER];
  const strange = [
    [],
    ['verify'],
    ['verify-bundle'],
    ['verify-bundle', '--bundle', bundle, file],
    ['verify-bundle', '--bundle', bundle, ...identity],
    ['verify-bundle', '--bundle', bundle, ...identity, file, file],
    ['verify-bundle', '--bundle', bundle, ...identity.slice(2), file],
    ['verify-bundle', '--bundle', bundle, '--unknown', ...identity, file],
    ['verify-bundle', '--bundle', '/no/such/file', ...identity, file],
    ['verify-bundle', '--bundle', bundle, '--key', file, file],
  ];
  for (const args of strange) expect(await client.run(args)).toBe(1);
  expect(await execute([])).toBe(1);
});
