/** `sign-bundle` against a private Sigstore on loopback; `verify-bundle` and the bundle's own members say what came of it. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IDENTITY, ISSUER, testSigstore, type TestSigstore } from '../../support/sigstore.ts';
import { ClientUnderTest } from './testing/client.ts';
import { ARTIFACT, statement, type RawBundle } from './testing/instance.ts';

let sigstore: TestSigstore;
let client: ClientUnderTest;

beforeAll(async () => {
  sigstore = await testSigstore();
  client = await ClientUnderTest.start();
});

afterAll(async () => {
  await client.stop();
  await sigstore.close();
});

interface Asked {
  file: Buffer;
  rekor?: number[];
  token?: string;
  more?: string[];
}

async function sign({ file, rekor = [1], token = sigstore.token({}), more = [] }: Asked): Promise<number> {
  return client.run([
    'sign-bundle',
    ...more,
    '--identity-token',
    token,
    '--bundle',
    `${client.folder}/signed.json`,
    '--trusted-root',
    await client.file('root.json', Buffer.from(sigstore.trustedRoot)),
    '--signing-config',
    await client.file('signing.json', Buffer.from(sigstore.signingConfig({ rekor }))),
    await client.file('signed', file),
  ]);
}

async function signed(): Promise<RawBundle> {
  return JSON.parse(await readFile(`${client.folder}/signed.json`, 'utf8')) as RawBundle;
}

function verified(bundle: RawBundle, identity = IDENTITY): Promise<number[]> {
  const trustedRoot = Buffer.from(sigstore.trustedRoot);
  return client.verify({ bundle, trustedRoot, identity, issuer: ISSUER });
}

describe.each([
  [1, 'hashedrekord', '0.0.1'],
  [2, 'hashedrekord', '0.0.2'],
])('with Rekor v%i', (rekor, kind, version) => {
  it('signs a file', async () => {
    expect(await sign({ file: ARTIFACT, rekor: [rekor] }), client.said).toBe(0);
    const bundle = await signed();
    expect(bundle.messageSignature).toBeDefined();
    expect(bundle.dsseEnvelope).toBeUndefined();
    // One certificate, the signer's own: no root.
    expect(bundle.verificationMaterial.certificate).toBeDefined();
    expect(bundle.verificationMaterial.tlogEntries.map((entry) => entry.kindVersion)).toEqual([
      { kind, version },
    ]);
    expect(await verified(bundle), client.said).toEqual([0, 0]);
  });

  it('signs a statement, byte for byte', async () => {
    const file = Buffer.from(JSON.stringify(statement(), undefined, 3));
    expect(await sign({ file, rekor: [rekor], more: ['--in-toto'] }), client.said).toBe(0);
    const bundle = await signed();
    expect(bundle.messageSignature).toBeUndefined();
    expect(Buffer.from(bundle.dsseEnvelope!.payload, 'base64')).toEqual(file);
    expect(await verified(bundle), client.said).toEqual([0, 0]);
  });
});

// Outside suites sign with such tokens.
it('signs as a person, who has an e-mail address and no URI', async () => {
  const email = 'ann@acme.example';
  const token = sigstore.token({ email, email_verified: true });
  expect(await sign({ file: ARTIFACT, token }), client.said).toBe(0);
  expect(await verified(await signed(), email), client.said).toEqual([0, 0]);
  expect(await verified(await signed())).toEqual([1, 1]);
});

it.each([
  ['a token that is none', { file: ARTIFACT, token: 'no.token' }],
  ['a statement that is none', { file: ARTIFACT, more: ['--in-toto'] }],
  ['a statement about nothing', { file: Buffer.from('{"subject":[]}'), more: ['--in-toto'] }],
  [
    'a statement of an unknown type',
    { file: Buffer.from(JSON.stringify(statement({ _type: 'x' }))), more: ['--in-toto'] },
  ],
])('refuses %s', async (_, asked) => {
  expect(await sign(asked)).toBe(1);
});

it('ends with 1 where the command is not whole, and never says the token', async () => {
  expect(await client.run(['sign-bundle'])).toBe(1);
  const token = sigstore.token({ exp: 1 });
  expect(await sign({ file: ARTIFACT, token })).toBe(1);
  expect(client.said).not.toContain(token.split('.')[1]);
});
