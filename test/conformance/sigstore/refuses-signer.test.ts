/** Artifact, signature, signer and format: what every Sigstore client has to refuse of them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientUnderTest } from './testing/client.ts';
import { IDENTITY, Instance, keyPair, statement, type Making, type RawBundle } from './testing/instance.ts';
import { expectRefused, type Spoilt } from './testing/spoil.ts';

let sigstore: Instance;
let client: ClientUnderTest;

beforeAll(async () => {
  sigstore = await Instance.create();
  client = await ClientUnderTest.start();
});

afterAll(() => client.stop());

const refused = (how: Making, spoil: (right: Spoilt) => unknown) =>
  expectRefused({ sigstore, client }, how, spoil);

describe('the artifact', () => {
  it('is another one', () => refused({}, (right) => (right.asked.artifact = Buffer.from('another\n'))));
  it('is another one than the statement is about', () =>
    refused({ statement: statement() }, (right) => (right.asked.artifact = Buffer.from('another\n'))));
  it('is not what the message digest says', () =>
    refused(
      {},
      ({ bundle }) => (bundle.messageSignature!.messageDigest.digest = Buffer.alloc(32).toString('base64')),
    ));
  it('is known by a hash that nobody knows', () =>
    refused(
      {},
      ({ bundle }) => (bundle.messageSignature!.messageDigest.algorithm = 'HASH_ALGORITHM_UNSPECIFIED'),
    ));
  it.each([
    ['about something else', statement({ subject: [{ name: 'x', digest: { sha256: '0'.repeat(64) } }] })],
    ['about nothing', statement({ subject: [] })],
    ['without subjects', statement({ subject: undefined })],
    ['with null for a subject', statement({ subject: [null] })],
    ['of no type', statement({ _type: undefined })],
    ['of an unknown type', statement({ _type: 'https://in-toto.io/Statement/v2' })],
    ['of no predicate type', statement({ predicateType: undefined })],
    ['that is no object', 'a text'],
  ])('has a statement %s', async (_, said) => {
    for (const api of [1, 2] as const) {
      const bundle = await sigstore.make({ statement: said, api });
      expect(await client.verify({ bundle, trustedRoot: sigstore.trustedRoot() })).toEqual([1, 1]);
    }
  });
  it('has an envelope that is no statement', async () => {
    const bundle = await sigstore.make({ statement: statement(), payloadType: 'text/plain' });
    expect(await client.verify({ bundle, trustedRoot: sigstore.trustedRoot() })).toEqual([1, 1]);
  });
});

describe('the signature', () => {
  it('is another one', () =>
    refused(
      {},
      ({ bundle }) => (bundle.messageSignature!.signature = Buffer.alloc(70, 1).toString('base64')),
    ));
  it('is by another key, and logged', () =>
    refused({}, async (right) => swapSignature(right, await sigstore.make())));
  it('is no base64', () => refused({}, ({ bundle }) => (bundle.messageSignature!.signature = '%%%')));
  it.each([1, 2] as const)('of the envelope is another one (log of version %i)', (api) =>
    refused({ statement: statement(), api }, ({ bundle }) => {
      bundle.dsseEnvelope!.signatures[0]!.sig = Buffer.alloc(70, 1).toString('base64');
    }),
  );
  it.each([1, 2] as const)(
    'is by another key over the same envelope, and logged (log of version %i)',
    async (api) => {
      const key = keyPair();
      await refused({ statement: statement(), api, key }, async (right) => {
        right.bundle = { ...(await sigstore.make({ statement: statement(), api, key: keyPair() })) };
      });
    },
  );
  it('comes twice', () =>
    refused({ statement: statement() }, ({ bundle: { dsseEnvelope } }) =>
      dsseEnvelope!.signatures.push(dsseEnvelope!.signatures[0]!),
    ));
  it('is missing', () => refused({}, ({ bundle }) => delete bundle.messageSignature));
});

function swapSignature(right: Spoilt, other: RawBundle): void {
  right.bundle.messageSignature = other.messageSignature!;
  right.bundle.verificationMaterial.tlogEntries = other.verificationMaterial.tlogEntries;
}

describe('the signer', () => {
  it.each([
    ['has this one in front of its name', IDENTITY.slice(0, -1)],
    ['has this one behind its name', IDENTITY.slice(1)],
    ['would fit this one as a pattern', '.*'],
    ['would fit this one as a pattern, character by character', IDENTITY.replace('.', '[.]')],
    ['differs in case', IDENTITY.toUpperCase()],
    ['is not nobody', ''],
  ])('%s', (_, identity) => refused({}, (right) => (right.asked.identity = identity)));
  it('has another issuer', () => refused({}, (right) => (right.asked.issuer = 'https://token.ci.exampl')));
  it('is of another instance', () =>
    refused({}, async (right) => (right.root = (await Instance.create()).trustedRoot())));
  it('is certified by an authority that was valid at another time', () =>
    refused({}, ({ root }) => (root.certificateAuthorities[0]!.validFor.end = '2021-01-01T00:00:00Z')));
  it('has a certificate that no certificate log has seen', () =>
    refused({}, ({ root }) => (root.ctlogs[0]!.logId.keyId = Buffer.alloc(32).toString('base64'))));
  it('has a certificate of another certificate log', () =>
    refused({}, async ({ root }) => {
      root.ctlogs[0]!.publicKey.rawBytes = (
        await Instance.create()
      ).trustedRoot().ctlogs[0]!.publicKey.rawBytes;
    }));
  it('has no certificate in its chain', () =>
    refused(
      { format: 'v0.2' },
      ({ bundle }) => (bundle.verificationMaterial.x509CertificateChain!.certificates = []),
    ));
  it('has a root certificate in its chain', () =>
    refused({ format: 'v0.2' }, ({ bundle }) =>
      bundle.verificationMaterial.x509CertificateChain!.certificates.push({
        rawBytes: sigstore.rootCertificate,
      }),
    ));
  it('has a chain in the newest format', () =>
    refused({}, ({ bundle: { verificationMaterial } }) => {
      verificationMaterial.x509CertificateChain = { certificates: [verificationMaterial.certificate!] };
      delete verificationMaterial.certificate;
    }));
});

describe('the key', () => {
  it('is another one', () => refused({ key: keyPair() }, (right) => (right.asked.key = keyPair().publicKey)));
  it('is not asked for', () => refused({ key: keyPair() }, (right) => (right.asked = {})));
  it('is asked for, and an identity has signed', () =>
    refused({}, (right) => (right.asked.key = keyPair().publicKey)));
  it('is asked for together with an identity', () =>
    refused({ key: keyPair() }, (right) => (right.asked.more = ['--certificate-identity', IDENTITY])));
  it('signed what no log has', () =>
    refused({ key: keyPair() }, ({ bundle }) => (bundle.verificationMaterial.tlogEntries = [])));
});

describe('the bundle', () => {
  it.each([
    'application/vnd.dev.sigstore.bundle+json;version=99.9',
    'application/vnd.dev.sigstore.bundle+json;version=0.9',
    'application/vnd.dev.sigstore.bundle.v9.9+json',
    'application/json',
    '',
  ])('is of the format %j', (mediaType) => refused({}, ({ bundle }) => (bundle.mediaType = mediaType)));

  it.each(['', '{', 'null', '[]', '7', '{}', '{"mediaType":{}}', '\u0000'])('is %j', async (text) => {
    const asked = { bundle: Buffer.from(text), trustedRoot: sigstore.trustedRoot() };
    expect(await client.verify(asked)).toEqual([1, 1]);
    expect(await client.verify({ bundle: await sigstore.make(), trustedRoot: Buffer.from(text) })).toEqual([
      1, 1,
    ]);
  });

  it('is too long', async () => {
    const bundle = { ...(await sigstore.make()), padding: ' '.repeat(300_000) };
    expect(await client.verify({ bundle, trustedRoot: sigstore.trustedRoot() })).toEqual([1, 1]);
  });
});

it('the digest is given by another length, or for a file that is not there', async () => {
  const args = await client.args({ bundle: await sigstore.make(), trustedRoot: sigstore.trustedRoot() });
  for (const name of ['sha256:00', `sha512:${'0'.repeat(128)}`, 'sha256:', '0'.repeat(64), '/no/such/file']) {
    expect(await client.run([...args, name])).toBe(1);
  }
});
