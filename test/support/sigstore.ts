/**
 * A private Sigstore on loopback: the handlers of @sigstore/mock behind HTTP, made stricter and more like the real services where they fall
 * short. Fulcio checks the proof of possession. Rekor stores what it canonicalised, not what was proposed, and verifies the signature
 * first. Rekor v2 takes digests alone and gives no time. The timestamp authority speaks DER.
 */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  verify,
  X509Certificate,
} from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  fulcioHandler,
  initializeCA,
  initializeCTLog,
  initializeTLog,
  initializeTSA,
  tsaHandler,
} from '@sigstore/mock';
import { IN_TOTO_PAYLOAD_TYPE, preAuthEncoding } from '@tidegate/client-sdk/protocol';
import { renewedClock } from './clocks.ts';
import { certifyPerson } from './person.ts';

export const ISSUER = 'https://token.ci.example';
export const IDENTITY = 'https://ci.example/acme/firmware/.ci/release.yml@refs/tags/v1.2.0';

const NOBODY = { key: '', email: undefined };

type Reply = { status: number; body: string | Uint8Array; headers?: Record<string, string> };
type Handler = (body: Buffer, request: IncomingMessage) => Reply | Promise<Reply>;

export interface TestSigstore {
  url: string;
  trustedRoot: Buffer;
  /** @param rekor versions of its logs, each of an operator of its own. Default: version 1. */
  signingConfig(options?: {
    rekor?: number[];
    timestamps?: boolean;
    changes?: Record<string, unknown>;
  }): Buffer;
  /** A token as a CI service would give it, not signed by anybody: the mock's Fulcio believes whatever it is told. */
  token(claims?: Record<string, unknown>): string;
  /** Answers a path in another way from now on; undefined: as before. */
  instead(path: string, handler: Handler | undefined): void;
  /** Lets Fulcio certify a key that its asker does not hold. Default: false. */
  skipPossession: boolean;
  /** Spaces after the answers of one path: JSON does not mind them. */
  padding: { path: string; bytes: number } | undefined;
  /** Requests so far, e.g. `POST /api/v2/signingCert`. */
  requests: string[];
  close(): Promise<void>;
}

export async function testSigstore(): Promise<TestSigstore> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // Whole seconds, because the verifier's library reads no other fraction than one of three digits; and not before the mock's
  // authorities begin to be valid, which is when they are made.
  const clock = new Date(Math.floor(Date.now() / 1000) * 1000 + 5000);
  const yesterday = new Date(clock.getTime() - 86_400_000).toISOString();
  const ctLog = await initializeCTLog(keyPair(), clock);
  const ca = await initializeCA(keyPair(), ctLog, clock);
  const clockKeys = keyPair();
  const tsa = await initializeTSA(clockKeys, clock);
  // A minute later: its certificates have the same names, numbers and keys, so that the first ones serve.
  const minuteLater = new Date(clock.getTime() + 60_000);
  const later = await initializeTSA(clockKeys, minuteLater);
  const renewed = await renewedClock(tsa, clockKeys, minuteLater);
  const logs = [
    await initializeTLog(url, keyPair(), clock),
    await initializeTLog(url, keyPair(), clock),
  ] as const;
  const fulcio = fulcioHandler(ca, { subjectClaim: 'identity' });
  const stampBy = (authority: typeof tsa): Handler => {
    const { fn } = tsaHandler(authority);
    return async (body) => {
      const artifactHash = imprintOf(body).toString('base64');
      return replyOf(await fn(JSON.stringify({ artifactHash, hashAlgorithm: 'sha256', certificates: true })));
    };
  };

  const entries = new Map<string, unknown>();
  const routes: Record<string, Handler> = {
    '/api/v2/signingCert': async (body) => {
      const { key, email } = sigstore.skipPossession ? NOBODY : checkPossession(body);
      if (email !== undefined) {
        const certificate = await certifyPerson(ca, ctLog, clock, key, { email, issuer: ISSUER });
        return json(200, { signedCertificateEmbeddedSct: { chain: { certificates: [certificate] } } });
      }
      return replyOf(await fulcio.fn(body.toString()));
    },
    '/api/v1/log/entries': async (body) => {
      const canonical = canonicalV1(JSON.parse(body.toString()) as Proposed);
      const known = createHash('sha256').update(JSON.stringify(canonical)).digest('hex');
      if (entries.has(known)) {
        return { status: 409, body: '{}', headers: { location: `/api/v1/log/entries/${known}` } };
      }
      const entry = await logs[0].log(canonical);
      entries.set(known, entry);
      routes[`/api/v1/log/entries/${known}`] = () => json(200, entries.get(known));
      return json(201, entry);
    },
    '/api/v2/log/entries': async (body) => {
      const canonical = canonicalV2(JSON.parse(body.toString()) as RequestV2);
      const [entry] = Object.values(await logs[1].log(canonical)) as EntryV1[];
      if (entry === undefined) throw new Error('no entry');
      const { inclusionProof: proof } = entry.verification;
      return json(201, {
        logId: { keyId: Buffer.from(entry.logID, 'hex').toString('base64') },
        kindVersion: { kind: 'hashedrekord', version: '0.0.2' },
        inclusionProof: {
          rootHash: Buffer.from(proof.rootHash, 'hex').toString('base64'),
          treeSize: String(proof.treeSize),
          checkpoint: { envelope: proof.checkpoint },
        },
        canonicalizedBody: entry.body,
      });
    },
    '/api/v1/timestamp': stampBy(tsa),
    '/later/api/v1/timestamp': stampBy(later),
    '/renewed/api/v1/timestamp': stampBy(renewed),
  };

  const requests: string[] = [];
  const others = new Map<string, Handler>();
  server.on('request', (request, response) => void serve(request, response));
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', url).pathname;
    requests.push(`${request.method} ${path}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const handler = others.get(path) ?? routes[path];
    try {
      const { status, body, headers } = (await handler?.(Buffer.concat(chunks), request)) ?? {
        status: 404,
        body: '',
      };
      response.writeHead(status, headers);
      response.write(body);
      response.end(sigstore.padding?.path === path ? ' '.repeat(sigstore.padding.bytes) : '');
    } catch (error) {
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ message: (error as Error).message }));
    }
  }

  const service = (version: number, path = '') => ({
    url: url + path,
    majorApiVersion: version,
    validFor: { start: yesterday },
    operator: `operator-${version}`,
  });
  const sigstore: TestSigstore = {
    url,
    skipPossession: false,
    padding: undefined,
    requests,
    trustedRoot: Buffer.from(
      JSON.stringify({
        mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
        tlogs: logs.map((log) => logInstance(url, log.publicKey, yesterday)),
        certificateAuthorities: [authority(url, [ca.rootCertificate], 'sigstore', yesterday)],
        ctlogs: [logInstance(url, ctLog.publicKey, yesterday)],
        timestampAuthorities: [tsa, renewed].map(({ intCertificate }) =>
          authority(url, [intCertificate, tsa.rootCertificate], 'tsa', yesterday),
        ),
      }),
    ),
    signingConfig: ({ rekor = [1], timestamps: stamped = true, changes = {} } = {}) =>
      Buffer.from(
        JSON.stringify({
          mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
          caUrls: [service(1)],
          oidcUrls: [],
          rekorTlogUrls: rekor.map((version) => service(version)),
          rekorTlogConfig: { selector: 'ANY' },
          tsaUrls: stamped ? [service(1, '/api/v1/timestamp')] : [],
          tsaConfig: { selector: 'ANY' },
          ...changes,
        }),
      ),
    token: (claims = {}) =>
      jwt({
        iss: ISSUER,
        aud: 'sigstore',
        sub: 'repo:acme/firmware',
        identity: IDENTITY,
        exp: expiry(),
        ...claims,
      }),
    instead(path, handler) {
      if (handler === undefined) others.delete(path);
      else others.set(path, handler);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return sigstore;
}

/** @returns a JWT with a signature that is none. */
export function jwt(claims: unknown): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'ES256', typ: 'JWT' })}.${part(claims)}.${Buffer.from('none').toString('base64url')}`;
}

export function json(status: number, body: unknown): Reply {
  return { status, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
}

interface Proposed {
  kind: string;
  spec: {
    proposedContent?: { envelope: string; verifiers: string[] };
    data?: { hash: { value: string } };
    signature?: { content: string; publicKey: { content: string } };
  };
}

interface RequestV2 {
  hashedRekordRequestV002: {
    digest: string;
    signature: {
      content: string;
      verifier: {
        publicKey?: { rawBytes: string };
        x509Certificate?: { rawBytes: string };
        keyDetails: string;
      };
    };
  };
}

interface EntryV1 {
  body: string;
  logID: string;
  verification: { inclusionProof: { rootHash: string; treeSize: number; checkpoint: string } };
}

/** What Rekor v1 stores of a proposal; @sigstore/mock stores the proposal itself. rekor/pkg/types/dsse/v0.0.1 */
function canonicalV1({ kind, spec }: Proposed): object {
  if (kind !== 'dsse' || spec.proposedContent === undefined) return { apiVersion: '0.0.1', kind, spec };
  const { envelope, verifiers } = spec.proposedContent;
  const { payloadType, payload, signatures } = JSON.parse(envelope) as {
    payloadType: string;
    payload: string;
    signatures: { sig: string }[];
  };
  const bytes = Buffer.from(payload, 'base64');
  const signature = signatures[0]?.sig ?? '';
  const verifier = verifiers[0] ?? '';
  if (payloadType !== IN_TOTO_PAYLOAD_TYPE) throw new Error(`payload type ${payloadType}`);
  checkSignature(keyIn(Buffer.from(verifier, 'base64')), preAuthEncoding(payloadType, bytes), signature);
  return {
    apiVersion: '0.0.1',
    kind: 'dsse',
    spec: {
      envelopeHash: { algorithm: 'sha256', value: createHash('sha256').update(envelope).digest('hex') },
      payloadHash: { algorithm: 'sha256', value: createHash('sha256').update(bytes).digest('hex') },
      signatures: [{ signature, verifier }],
    },
  };
}

/** rekor-tiles/pkg/types/hashedrekord */
function canonicalV2({ hashedRekordRequestV002: { digest, signature } }: RequestV2): object {
  const { publicKey, x509Certificate, keyDetails } = signature.verifier;
  if (keyDetails !== 'PKIX_ECDSA_P256_SHA_256') throw new Error(keyDetails);
  const der = Buffer.from((publicKey ?? x509Certificate)?.rawBytes ?? '', 'base64');
  const key = publicKey
    ? createPublicKey({ key: der, format: 'der', type: 'spki' })
    : new X509Certificate(der).publicKey;
  if (key.asymmetricKeyType !== 'ec') throw new Error('not P-256');
  return {
    apiVersion: '0.0.2',
    kind: 'hashedrekord',
    spec: { hashedRekordV002: { data: { algorithm: 'SHA2_256', digest }, signature } },
  };
}

/** Fulcio, docs/security-model.md: the key in the request signed the token's subject. */
function checkPossession(body: Buffer): { key: string; email: string | undefined } {
  const { credentials, publicKeyRequest } = JSON.parse(body.toString()) as {
    credentials: { oidcIdentityToken: string };
    publicKeyRequest: { publicKey: { content: string }; proofOfPossession: string };
  };
  const claims = JSON.parse(
    Buffer.from(credentials.oidcIdentityToken.split('.')[1] ?? '', 'base64url').toString(),
  ) as { email?: string; sub: string };
  const key = publicKeyRequest.publicKey.content;
  const subject = Buffer.from(claims.email ?? claims.sub);
  checkSignature(createPublicKey(key), subject, publicKeyRequest.proofOfPossession);
  return { key, email: claims.email };
}

function checkSignature(key: KeyObject, message: Buffer, signature: string): void {
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  if (!verify(digest, message, key, Buffer.from(signature, 'base64')))
    throw new Error('signature does not verify');
}

function keyIn(pem: Buffer): KeyObject {
  const text = pem.toString();
  return text.includes('CERTIFICATE') ? new X509Certificate(text).publicKey : createPublicKey(text);
}

/** The digest in a TimeStampReq. RFC 3161 2.4.1 */
function imprintOf(request: Buffer): Buffer {
  const algorithm = Buffer.from('300d06096086480165030402010500', 'hex');
  const at = request.indexOf(algorithm) + algorithm.length;
  if (at < algorithm.length || request[1] !== request.length - 2 || request.readUInt16BE(at) !== 0x0420) {
    throw new Error('no TimeStampReq over SHA-256');
  }
  return request.subarray(at + 2, at + 34);
}

function logInstance(url: string, publicKey: Buffer, yesterday: string) {
  const keyId = createHash('sha256').update(publicKey).digest('base64');
  return {
    baseUrl: url,
    hashAlgorithm: 'SHA2_256',
    publicKey: {
      rawBytes: publicKey.toString('base64'),
      keyDetails: 'PKIX_ECDSA_P256_SHA_256',
      validFor: { start: yesterday },
    },
    logId: { keyId },
  };
}

function authority(uri: string, certificates: ArrayBufferView[], commonName: string, yesterday: string) {
  return {
    subject: { organization: 'sigstore.mock', commonName },
    uri,
    certChain: {
      certificates: certificates.map(({ buffer, byteOffset, byteLength }) => ({
        rawBytes: Buffer.from(buffer, byteOffset, byteLength).toString('base64'),
      })),
    },
    validFor: { start: yesterday },
  };
}

function replyOf({
  statusCode,
  response,
  contentType,
}: Awaited<ReturnType<ReturnType<typeof tsaHandler>['fn']>>): Reply {
  const body =
    typeof response === 'string'
      ? response
      : Buffer.from(response.buffer, response.byteOffset, response.byteLength);
  return { status: statusCode, body, headers: { 'content-type': contentType ?? 'text/plain' } };
}

function keyPair() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function expiry(): number {
  return Math.floor(Date.now() / 1000) + 600;
}
