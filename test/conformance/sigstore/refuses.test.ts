/** What every Sigstore client has to refuse. Each case has a twin that is right but for one thing, and is accepted. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientUnderTest, type Asked } from './testing/client.ts';
import {
  ARTIFACT,
  IDENTITY,
  Instance,
  keyPair,
  statement,
  type Making,
  type RawBundle,
} from './testing/instance.ts';
import type { LogEntry } from './testing/log.ts';

let sigstore: Instance;
let client: ClientUnderTest;

beforeAll(async () => {
  sigstore = await Instance.create();
  client = await ClientUnderTest.start();
});

afterAll(() => client.stop());

type Root = ReturnType<Instance['trustedRoot']>;

interface Spoilt {
  bundle: RawBundle;
  root: Root;
  asked: Partial<Asked>;
}

/** Accepted as it is, and refused with file and digest once it is spoilt. */
async function refused(how: Making, spoil: (right: Spoilt) => unknown): Promise<void> {
  const right = { bundle: await sigstore.make(how), root: sigstore.trustedRoot(), asked: {} };
  if (how.key !== undefined) right.asked = { key: how.key.publicKey };
  const ask = (it: Spoilt) => client.verify({ bundle: it.bundle, trustedRoot: it.root, ...it.asked });
  expect(await ask(right), client.said).toEqual([0, 0]);
  await spoil(right);
  expect(await ask(right)).toEqual([1, 1]);
}

const entryOf = ({ bundle }: Spoilt): LogEntry => bundle.verificationMaterial.tlogEntries[0]!;

/** Changes one member of what the log says in its entry, signed anew as if the log had said so. */
function relog(right: Spoilt, place: string, value: unknown): void {
  const { kindVersion, canonicalizedBody } = entryOf(right);
  const body = JSON.parse(Buffer.from(canonicalizedBody, 'base64').toString());
  const names = place.split('.');
  const last = names.pop() ?? '';
  let at = body.spec;
  for (const name of names) at = at[name];
  at[last] = value;
  const api = kindVersion.version === '0.0.2' && kindVersion.kind !== 'intoto' ? 2 : 1;
  right.bundle.verificationMaterial.tlogEntries[0] = sigstore.logs[api].entry(
    body,
    sigstore.issuedAt + 60_000,
  );
}

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

describe('the log entry', () => {
  it.each<[string, Making, string, unknown]>([
    ['is of another artifact', {}, 'data.hash.value', '0'.repeat(64)],
    ['is of another signature', {}, 'signature.content', 'AAAA'],
    ['is of another payload', { statement: statement() }, 'payloadHash.value', '0'.repeat(64)],
    ['is of another envelope signature', { statement: statement() }, 'signatures.0.signature', 'AAAA'],
    ['has another signature besides', { statement: statement() }, 'signatures.1', { signature: 'AAAA' }],
    [
      'is of another in-toto payload',
      { statement: statement(), kind: 'intoto' },
      'content.payloadHash.value',
      '00',
    ],
    [
      'is of another encoded envelope',
      { statement: statement(), kind: 'hashedrekord' },
      'data.hash.value',
      '00',
    ],
    ['of version 2 is of another artifact', { api: 2 }, 'hashedRekordV002.data.digest', 'AAAA'],
    ['of version 2 is of another signature', { api: 2 }, 'hashedRekordV002.signature.content', 'AAAA'],
    [
      'of version 2 is of another payload',
      { api: 2, statement: statement() },
      'dsseV002.payloadHash.digest',
      'AAAA',
    ],
    [
      'of version 2 is of another envelope signature',
      { api: 2, statement: statement() },
      'dsseV002.signatures.0.content',
      'AAAA',
    ],
  ])('%s', (_, how, place, value) => refused(how, (right) => relog(right, place, value)));

  it('is that of another signing of the same artifact', () =>
    refused({}, async (right) => {
      right.bundle.verificationMaterial.tlogEntries = (
        await sigstore.make()
      ).verificationMaterial.tlogEntries;
    }));
  it('is of another kind than it says', () =>
    refused({}, (right) => (entryOf(right).kindVersion.kind = 'dsse')));
  it('is of a kind that nobody knows', () =>
    refused({}, (right) => (entryOf(right).kindVersion = { kind: 'rpm', version: '0.0.1' })));
  it('has a body that is no JSON', () => refused({}, (right) => (entryOf(right).canonicalizedBody = 'AAAA')));
  it('is missing', () =>
    refused({ stamps: [1] }, ({ bundle }) => (bundle.verificationMaterial.tlogEntries = [])));
  it('is there beside a wrong one', () =>
    refused({}, async ({ bundle }) =>
      bundle.verificationMaterial.tlogEntries.push(
        ...(await sigstore.make()).verificationMaterial.tlogEntries,
      ),
    ));
  it('comes twice', () =>
    refused({}, ({ bundle: { verificationMaterial } }) =>
      verificationMaterial.tlogEntries.push({ ...verificationMaterial.tlogEntries[0]! }),
    ));
  it('is of a log that is not trusted', () => refused({}, ({ root }) => root.tlogs.shift()));
  it('is of a log that was trusted at another time', () =>
    refused({}, ({ root }) => (root.tlogs[0]!.publicKey.validFor.end = '2021-01-01T00:00:00Z')));
  it('is of a log of which the root does not say since when', () =>
    refused({}, ({ root }) => delete root.tlogs[0]!.publicKey.validFor.start));
  it('has a negative place', () => refused({}, (right) => (entryOf(right).logIndex = '-1')));
});

describe('the promise of the log', () => {
  it('is not by the log', () =>
    refused(
      {},
      (right) =>
        (entryOf(right).inclusionPromise!.signedEntryTimestamp = Buffer.alloc(70, 1).toString('base64')),
    ));
  it('is of another time', () => refused({}, (right) => (entryOf(right).integratedTime = '1700000000')));
  it.each([-5, 15])('is %i minutes from when the certificate was issued', (minutes) =>
    refused({}, (right) => {
      const body = JSON.parse(Buffer.from(entryOf(right).canonicalizedBody, 'base64').toString());
      right.bundle.verificationMaterial.tlogEntries = [
        sigstore.logs[1].entry(body, sigstore.issuedAt + minutes * 60_000),
      ];
    }),
  );
  it('is all that the second format has', () =>
    refused({ format: 'v0.2' }, (right) => Object.assign(entryOf(right), { inclusionProof: undefined })));
  it('is missing in the first format', () =>
    refused({ format: 'v0.1' }, (right) => delete entryOf(right).inclusionPromise));
});

describe('the proof of inclusion', () => {
  const how = [{ api: 2 as const }, {}];
  it.each(how)('has a wrong hash (%j)', (making) =>
    refused(
      making,
      (right) => (entryOf(right).inclusionProof.hashes[1] = Buffer.alloc(32).toString('base64')),
    ),
  );
  it.each(how)('is of another place (%j)', (making) =>
    refused(making, (right) => (entryOf(right).inclusionProof.logIndex = '4')),
  );
  it.each(how)('is of a tree of another size (%j)', (making) =>
    refused(making, (right) => (entryOf(right).inclusionProof.treeSize = '600')),
  );
  it.each(how)('has another root beside its checkpoint (%j)', (making) =>
    refused(
      making,
      (right) => (entryOf(right).inclusionProof.rootHash = Buffer.alloc(32).toString('base64')),
    ),
  );
  it.each(how)('is too short (%j)', (making) =>
    refused(making, (right) => entryOf(right).inclusionProof.hashes.pop()),
  );
  it.each(how)('has a checkpoint of another tree (%j)', (making) =>
    refused(making, (right) => {
      const api = making.api ?? 1;
      entryOf(right).inclusionProof.checkpoint!.envelope = sigstore.logs[api].checkpoint(
        11,
        Buffer.alloc(32),
      );
    }),
  );
  it.each(how)('has no checkpoint (%j)', (making) =>
    refused(making, (right) => delete entryOf(right).inclusionProof.checkpoint),
  );
  it('is missing', () =>
    refused({ api: 2 }, (right) => Object.assign(entryOf(right), { inclusionProof: undefined })));
  it('in the first format does not lead to its own root', () =>
    refused({ format: 'v0.1' }, (right) => {
      delete entryOf(right).inclusionProof.checkpoint;
      entryOf(right).inclusionProof.hashes[0] = Buffer.alloc(32).toString('base64');
    }));
});

describe('the checkpoint', () => {
  it.each<[string, (lines: string[], note: string) => string[]]>([
    ['has no signature', (lines) => lines.slice(0, 4)],
    ['has no origin', (lines) => lines.slice(1)],
    ['has no size', (lines) => [lines[0]!, ...lines.slice(2)]],
    ['has no root', (lines) => [...lines.slice(0, 2), ...lines.slice(3)]],
    ['has no size that is a number', (lines) => [lines[0]!, 'eleven', ...lines.slice(2)]],
    [
      'is signed by another name only',
      (lines, note) => [...lines.slice(0, 4), sigstore.logs[2].signatureLine(note, 'other.example')],
    ],
    [
      'is signed by another log only',
      (lines, note) => [...lines.slice(0, 4), sigstore.logs[1].signatureLine(note)],
    ],
    [
      'is signed by another key in the name of the log',
      (lines) => [...lines.slice(0, 4), badHint(lines[4]!)],
    ],
    [
      'is signed by a name that is a pattern',
      (lines, note) => [...lines.slice(0, 4), sigstore.logs[2].signatureLine(note, '.*')],
    ],
    ['is nothing', () => []],
  ])('%s', (_, change) =>
    refused({ api: 2 }, (right) => {
      const checkpoint = entryOf(right).inclusionProof.checkpoint!;
      const lines = checkpoint.envelope.split(/(?<=\n)/);
      checkpoint.envelope = change(lines, lines.slice(0, 3).join('')).join('');
    }),
  );

  function badHint(line: string): string {
    const [dash, name, signature = ''] = line.trim().split(' ');
    const bytes = Buffer.from(signature, 'base64');
    bytes[0]! ^= 1;
    return `${dash} ${name} ${bytes.toString('base64')}\n`;
  }
});

describe('the timestamp', () => {
  const stampsOf = ({ bundle }: Spoilt) =>
    bundle.verificationMaterial.timestampVerificationData!.rfc3161Timestamps;
  const signatureOf = ({ bundle }: Spoilt) => Buffer.from(bundle.messageSignature!.signature, 'base64');

  it('is missing where the log promises nothing', () =>
    refused({ api: 2 }, ({ bundle }) => delete bundle.verificationMaterial.timestampVerificationData));
  it('is of another signature', () =>
    refused(
      { api: 2 },
      async (right) => (stampsOf(right)[0]!.signedTimestamp = await sigstore.stamp(Buffer.from('x'))),
    ));
  it.each([-5, 15])('is %i minutes from when the certificate was issued', (minutes) =>
    refused({ api: 2 }, async (right) => {
      stampsOf(right)[0]!.signedTimestamp = await sigstore.stamp(signatureOf(right), minutes);
    }),
  );
  it('is right, and another one is of a time at which the certificate had expired', () =>
    refused({ api: 2 }, async (right) =>
      stampsOf(right).push({ signedTimestamp: await sigstore.stamp(signatureOf(right), 15) }),
    ));
  it.each([false, true])(
    'is by an authority that is not trusted (with its certificate: %s)',
    (certificates) =>
      refused({ api: 2 }, async (right) => {
        const other = await Instance.create();
        stampsOf(right)[0]!.signedTimestamp = await other.stamp(signatureOf(right), 1, certificates);
      }),
  );
  it('is by an authority that was trusted at another time', () =>
    refused({ api: 2 }, ({ root }) => (root.timestampAuthorities[0]!.validFor.end = '2021-01-01T00:00:00Z')));
  it('is by such an authority, while one without certificates is trusted now', () =>
    refused({ api: 2 }, ({ root }) => {
      root.timestampAuthorities[0]!.validFor.end = '2021-01-01T00:00:00Z';
      root.timestampAuthorities.push({
        uri: 'https://empty.example',
        certChain: { certificates: [] },
        validFor: { start: '2020-01-01T00:00:00Z' },
      });
    }));
  it('is there, and the root trusts no authority', () =>
    refused({ stamps: [1] }, ({ root }) => (root.timestampAuthorities = [])));
  it('is no timestamp', () => refused({ api: 2 }, (right) => (stampsOf(right)[0]!.signedTimestamp = 'AAAA')));
  it('comes twice', () => refused({ api: 2 }, (right) => stampsOf(right).push(stampsOf(right)[0]!)));
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
  expect(ARTIFACT.length).toBeGreaterThan(0);
});
