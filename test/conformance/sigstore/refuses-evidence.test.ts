/** Log entries, promises, proofs, checkpoints and timestamps: what every Sigstore client has to refuse of them. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { ClientUnderTest } from './testing/client.ts';
import { Instance, statement, type Making } from './testing/instance.ts';
import { entryOf, expectRefused, type Spoilt } from './testing/spoil.ts';

let sigstore: Instance;
let client: ClientUnderTest;

beforeAll(async () => {
  sigstore = await Instance.create();
  client = await ClientUnderTest.start();
});

afterAll(() => client.stop());

const refused = (how: Making, spoil: (right: Spoilt) => unknown) =>
  expectRefused({ sigstore, client }, how, spoil);

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
