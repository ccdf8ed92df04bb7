/** What every Sigstore client has to accept. */
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientUnderTest } from './testing/client.ts';
import { FORMATS, Instance, keyPair, statement, type EntryKind, type RawBundle } from './testing/instance.ts';
import { Log } from './testing/log.ts';

let sigstore: Instance;
let client: ClientUnderTest;

beforeAll(async () => {
  sigstore = await Instance.create();
  client = await ClientUnderTest.start();
});

afterAll(() => client.stop());

async function accepted(bundle: RawBundle, trustedRoot: unknown = sigstore.trustedRoot()): Promise<void> {
  expect(await client.verify({ bundle, trustedRoot }), client.said).toEqual([0, 0]);
}

describe('a message signature', () => {
  it.each(Object.keys(FORMATS) as (keyof typeof FORMATS)[])('in the format %s', async (format) => {
    await accepted(await sigstore.make({ format }));
  });

  it('in a log that promises nothing, with a timestamp', async () => {
    await accepted(await sigstore.make({ api: 2 }));
  });

  it('in a log that promises, with a timestamp besides', async () => {
    await accepted(await sigstore.make({ stamps: [1, 3] }));
  });

  it('by the first format, with a proof to a root that nobody signed', async () => {
    const bundle = await sigstore.make({ format: 'v0.1' });
    delete bundle.verificationMaterial.tlogEntries[0]!.inclusionProof.checkpoint;
    await accepted(bundle);
    Object.assign(bundle.verificationMaterial.tlogEntries[0]!, { inclusionProof: undefined });
    await accepted(bundle);
  });
});

describe('a DSSE envelope', () => {
  it.each<[EntryKind, 1 | 2]>([
    ['dsse', 1],
    ['intoto', 1],
    ['hashedrekord', 1],
    ['dsse', 2],
    ['hashedrekord', 2],
  ])('as a %s entry of a log of version %i', async (kind, api) => {
    await accepted(await sigstore.make({ statement: statement(), kind, api }));
  });

  it('of the earlier statement', async () => {
    await accepted(
      await sigstore.make({ statement: statement({ _type: 'https://in-toto.io/Statement/v0.1' }) }),
    );
  });

  it('about the artifact among others', async () => {
    const [right] = statement()['subject'] as object[];
    const subject = [
      { name: 'another', digest: { sha256: '0'.repeat(64) } },
      { name: 'x', digest: {} },
      right,
    ];
    await accepted(await sigstore.make({ statement: statement({ subject }) }));
  });
});

describe('a key', () => {
  it.each([
    ['P-256', keyPair(), {}],
    ['P-256 over a statement', keyPair(), { statement: statement() }],
    ['P-384', keyPair('secp384r1'), {}],
    ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 }), {}],
    ['Ed25519', generateKeyPairSync('ed25519'), {}],
    ['Ed25519 over a statement', generateKeyPairSync('ed25519'), { statement: statement() }],
  ])('%s', async (_, key, how) => {
    for (const api of [1, 2] as const) {
      const bundle = await sigstore.make({ ...how, key, api });
      const codes = await client.verify({ bundle, trustedRoot: sigstore.trustedRoot(), key: key.publicKey });
      expect(
        codes.every((code) => code === 0),
        client.said,
      ).toBe(true);
    }
  });

  it('whatever the bundle calls it', async () => {
    const key = keyPair();
    const bundle = await sigstore.make({ key });
    bundle.verificationMaterial.publicKey = { hint: '' };
    expect(await client.verify({ bundle, trustedRoot: sigstore.trustedRoot(), key: key.publicKey })).toEqual([
      0, 0,
    ]);
  });
});

describe('a checkpoint', () => {
  const witness = new Log(2, 'witness.example');

  it.each<[string, (own: string, note: string) => string]>([
    ['that a witness signed too', (own, note) => own + witness.signatureLine(note)],
    ['that a witness signed first', (own, note) => witness.signatureLine(note) + own],
    [
      'that two witnesses signed',
      (own, note) => own + witness.signatureLine(note) + witness.signatureLine(note, 'w2'),
    ],
    [
      'that another key of the log signed too',
      (own, note) => witness.signatureLine(note, sigstore.logs[2].host) + own,
    ],
    ['that the log signed twice', (own) => own + own],
  ])('%s', async (_, lines) => {
    const bundle = await sigstore.make({ api: 2 });
    const { checkpoint } = bundle.verificationMaterial.tlogEntries[0]!.inclusionProof;
    const [note = '', own = ''] = checkpoint!.envelope.split(/(?<=\n)\n/);
    checkpoint!.envelope = `${note}\n${lines(own, note)}`;
    await accepted(bundle);
  });
});

describe('validity', () => {
  it('of a log lasts through its last second', async () => {
    const root = sigstore.trustedRoot();
    root.tlogs[0]!.publicKey.validFor.end = new Date(sigstore.issuedAt + 60_000).toISOString();
    await accepted(await sigstore.make(), root);
  });

  it('of a timestamp authority lasts through its last second', async () => {
    const root = sigstore.trustedRoot();
    root.timestampAuthorities[0]!.validFor.end = new Date(sigstore.issuedAt + 60_000).toISOString();
    await accepted(await sigstore.make({ api: 2 }), root);
  });
});

it('a timestamp that carries its certificate', async () => {
  const bundle = await sigstore.make({ api: 2 });
  const signature = Buffer.from(bundle.messageSignature!.signature, 'base64');
  const signedTimestamp = await sigstore.stamp(signature, 1, true);
  bundle.verificationMaterial.timestampVerificationData = { rfc3161Timestamps: [{ signedTimestamp }] };
  await accepted(bundle);
});

it('the issuer of the certificate, where another authority has its name', async () => {
  const other = await Instance.create();
  const root = sigstore.trustedRoot();
  root.certificateAuthorities.unshift(...other.trustedRoot().certificateAuthorities);
  await accepted(await sigstore.make(), root);
});
