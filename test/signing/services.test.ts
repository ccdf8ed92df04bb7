/** Fulcio, Rekor and timestamp services that fail, lie, or talk without end. */
import { generateKeyPairSync } from 'node:crypto';
import {
  attestBuild,
  AttestError,
  identitySigning,
  keySigning,
  parseSigningConfig,
  parseToken,
} from '@tidegate/signer/attest';
import { generateKey } from '@tidegate/signer/keys';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { json, testSigstore, type TestSigstore } from '../support/sigstore.ts';

const BUILD = {
  image: { name: 'fw.bin', sha256: 'c'.repeat(64) },
  parameters: { product: 'acme.dc150', version: '1.2.0', hardware: ['dc150-r2'], securityVersion: 3 },
  builder: 'urn:test',
};
const FULCIO = '/api/v2/signingCert';
const REKOR_V1 = '/api/v1/log/entries';
const REKOR_V2 = '/api/v2/log/entries';
const TIMESTAMP = '/api/v1/timestamp';

let sigstore: TestSigstore;
beforeEach(async () => {
  sigstore = await testSigstore();
});
afterEach(() => sigstore.close());

async function sign(rekor = [1]): Promise<Uint8Array> {
  const config = parseSigningConfig(sigstore.signingConfig({ rekor }));
  const deployment = { config, trustedRoot: sigstore.trustedRoot, now: Date.now() };
  return attestBuild(BUILD, await identitySigning(parseToken(sigstore.token(), Date.now()), deployment));
}

const PATHS = [
  ['Fulcio', FULCIO, [1]],
  ['Rekor v1', REKOR_V1, [1]],
  ['Rekor v2', REKOR_V2, [2]],
  ['the timestamp authority', TIMESTAMP, [1]],
] as const;

// A tile log answers when its next checkpoint is out. @sigstore/sign gives up after five seconds.
it('Rekor v2 may take longer than five seconds', async () => {
  sigstore.instead(REKOR_V2, async () => {
    await new Promise((resolve) => setTimeout(resolve, 5_500));
    sigstore.instead(REKOR_V2, undefined);
    return json(503, { message: 'busy' });
  });
  const asked = () => sigstore.requests.filter((request) => request === `POST ${REKOR_V2}`).length;
  await expect(sign([2])).resolves.toBeInstanceOf(Uint8Array);
  // Once more because it was told to, and not because it had lost its patience.
  expect(asked()).toBe(2);
});

describe.each(PATHS)('%s', (_, path, rekor) => {
  it('that fails for a moment is asked again', async () => {
    let asked = 0;
    sigstore.instead(path, () => {
      asked += 1;
      if (asked === 2) sigstore.instead(path, undefined);
      return json(503, { message: 'busy' });
    });
    await expect(sign([...rekor])).resolves.toBeInstanceOf(Uint8Array);
    expect(asked).toBe(2);
  });

  it('that refuses is quoted, without the token', async () => {
    sigstore.instead(path, (body) => json(403, { message: `no: ${body.toString()}\u001b[2J` }));
    const error: unknown = await sign([...rekor]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AttestError);
    expect(error).toMatchObject({ code: 'SERVICE_REFUSED' });
    expect((error as Error).message).toContain('403');
    expect((error as Error).message).not.toContain('\u001b');
    expect((error as Error).message).not.toContain(sigstore.token().split('.')[0]);
  });

  it.each([
    ['nothing', () => ({ status: 201, body: '' })],
    ['no JSON', () => ({ status: 201, body: '<html>' })],
    ['a list', () => json(201, [])],
    ['a number for everything', () => json(201, { signedCertificateEmbeddedSct: 1, a: 1, logId: 1 })],
    [
      'with a redirect to somebody else',
      () => ({ status: 307, body: '', headers: { location: '/elsewhere' } }),
    ],
  ])('that answers %s is refused', async (__, handler) => {
    sigstore.instead(path, handler);
    const error: unknown = await sign([...rekor]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AttestError);
    expect(['SERVICE_ANSWER', 'SERVICE_REFUSED']).toContain((error as AttestError).code);
    expect(sigstore.requests).not.toContain('POST /elsewhere');
  });
});

it.each(PATHS.filter(([, path]) => path !== TIMESTAMP))(
  '%s that says the right thing, and then does not stop, is refused',
  async (_, path, rekor) => {
    sigstore.padding = { path, bytes: 1000 };
    await expect(sign([...rekor])).resolves.toBeInstanceOf(Uint8Array);
    sigstore.padding = { path, bytes: 2 * 1024 * 1024 };
    await expect(sign([...rekor])).rejects.toMatchObject({ code: 'SERVICE_ANSWER' });
  },
);

it('a certificate for another key is refused before anything is signed with it', async () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    type: 'spki',
    format: 'pem',
  });
  const swapped = await testSigstore();
  try {
    sigstore.instead(FULCIO, async (body) => {
      const request = JSON.parse(body.toString()) as { publicKeyRequest: { publicKey: { content: string } } };
      const real = await fetch(`${swapped.url}${FULCIO}`, {
        method: 'POST',
        body: swap(request, other.toString()),
      });
      return {
        status: real.status,
        body: await real.text(),
        headers: { 'content-type': 'application/json' },
      };
    });
    swapped.skipPossession = true;
    await expect(sign()).rejects.toMatchObject({ code: 'CERTIFICATE_WRONG' });
  } finally {
    await swapped.close();
  }
  expect(sigstore.requests).toEqual([`POST ${FULCIO}`]);
});

function swap(request: { publicKeyRequest: { publicKey: { content: string } } }, pem: string): string {
  request.publicKeyRequest.publicKey.content = pem;
  return JSON.stringify(request);
}

it.each([
  ['v1', REKOR_V1, [1]],
  ['v2', REKOR_V2, [2]],
] as const)(
  'an entry of Rekor %s about something else is refused before anybody gets it',
  async (_, path, rekor) => {
    const config = parseSigningConfig(sigstore.signingConfig({ rekor: [...rekor] }));
    const deployment = { config, trustedRoot: sigstore.trustedRoot, now: Date.now() };
    const key = generateKey('ecdsa-sha2-nistp256');
    const other = JSON.parse(
      Buffer.from(await attestBuild(BUILD, keySigning(key, deployment))).toString(),
    ) as {
      verificationMaterial: { tlogEntries: Record<string, unknown>[] };
    };
    const [entry] = other.verificationMaterial.tlogEntries;
    sigstore.instead(path, () => json(201, rekor[0] === 2 ? entry : asV1(entry as never)));
    await expect(attestBuild(BUILD, keySigning(key, deployment))).rejects.toMatchObject({
      code: 'BUNDLE_INVALID',
    });
  },
);

interface Entry {
  logIndex: string;
  logId: { keyId: string };
  integratedTime: string;
  inclusionPromise: { signedEntryTimestamp: string };
  canonicalizedBody: string;
}

function asV1({ logIndex, logId, integratedTime, inclusionPromise, canonicalizedBody }: Entry) {
  return {
    uuid: {
      body: canonicalizedBody,
      logIndex: Number(logIndex),
      logID: Buffer.from(logId.keyId, 'base64').toString('hex'),
      integratedTime: Number(integratedTime),
      verification: inclusionPromise,
    },
  };
}

it('an authority with milliseconds is asked until its time has the digits that the verifier reads', async () => {
  let asked = 0;
  sigstore.instead(TIMESTAMP, () => {
    asked += 1;
    if (asked === 3) sigstore.instead(TIMESTAMP, undefined);
    return { status: 200, body: '\u0018\u001220261122120000.51Z' };
  });
  await expect(sign()).resolves.toBeInstanceOf(Uint8Array);
  expect(asked).toBe(3);
  sigstore.instead(TIMESTAMP, () => ({ status: 200, body: '\u0018\u001220261122120000.5Z' }));
  await expect(sign()).rejects.toMatchObject({ code: 'SERVICE_ANSWER' });
});

it.each([
  ['http://sigstore.example', 'SERVICE_INSECURE'],
  ['http://127.0.0.1.evil.example', 'SERVICE_INSECURE'],
  ['https://user:secret@sigstore.example', 'SERVICE_INSECURE'],
  ['file:///etc/passwd', 'SERVICE_INSECURE'],
  ['http://127.0.0.1:1', 'SERVICE_UNREACHABLE'],
])('a token is not sent to %s', async (url, code) => {
  const changes = { caUrls: [{ url, majorApiVersion: 1, validFor: { start: '2026-01-01T00:00:00Z' } }] };
  const config = parseSigningConfig(sigstore.signingConfig({ changes }));
  const deployment = { config, trustedRoot: sigstore.trustedRoot, now: Date.now() };
  const signing = identitySigning(parseToken(sigstore.token(), Date.now()), deployment);
  await expect(signing).rejects.toMatchObject({ code });
});
