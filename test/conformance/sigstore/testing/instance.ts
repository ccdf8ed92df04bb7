/** A Sigstore instance in small: authority, certificate log and clock of @sigstore/mock, transparency logs of our own. */
import { createHash, generateKeyPairSync, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { initializeCA, initializeCTLog, initializeTSA } from '@sigstore/mock';
import { preAuthEncoding } from '@tidegate/client-sdk/protocol';
import { hash, Log, type Body, type LogEntry } from './log.ts';

export const IDENTITY = 'https://ci.example/acme/firmware/.ci/release.yml@refs/heads/main';
export const ISSUER = 'https://token.ci.example';
export const ARTIFACT = Buffer.from('an artifact\n');
export const IN_TOTO = 'application/vnd.in-toto+json';
const OID_ISSUER = '1.3.6.1.4.1.57264.1.8';
const MINUTE = 60_000;

export const FORMATS = {
  'v0.1': 'application/vnd.dev.sigstore.bundle+json;version=0.1',
  'v0.2': 'application/vnd.dev.sigstore.bundle+json;version=0.2',
  'v0.3 by its old name': 'application/vnd.dev.sigstore.bundle+json;version=0.3',
  'v0.3': 'application/vnd.dev.sigstore.bundle.v0.3+json',
} as const;

export type EntryKind = 'hashedrekord' | 'dsse' | 'intoto';

export interface Making {
  format?: keyof typeof FORMATS;
  /** The statement, for DSSE; otherwise the artifact itself is signed. */
  statement?: unknown;
  payloadType?: string;
  kind?: EntryKind;
  api?: 1 | 2;
  /** Signs with this key instead of a certified one. */
  key?: KeyPair;
  /** How many minutes after the certificate was issued each timestamp is. */
  stamps?: number[];
  artifact?: Buffer;
}

export interface KeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

/** Protobuf JSON, to be changed at will. */
export interface RawBundle {
  mediaType: string;
  verificationMaterial: {
    certificate?: { rawBytes: string };
    x509CertificateChain?: { certificates: { rawBytes: string }[] };
    publicKey?: { hint: string };
    tlogEntries: LogEntry[];
    timestampVerificationData?: { rfc3161Timestamps: { signedTimestamp: string }[] };
  };
  messageSignature?: { messageDigest: { algorithm: string; digest: string }; signature: string };
  dsseEnvelope?: { payload: string; payloadType: string; signatures: { sig: string; keyid: string }[] };
}

type Authority = Awaited<ReturnType<typeof initializeCA>>;

export class Instance {
  readonly logs = { 1: new Log(1, 'rekor.example'), 2: new Log(2, 'log2026.rekor.example') } as const;
  /** When certificates are issued: a whole second, because the library reads no fraction of other than three digits. */
  readonly issuedAt: number;
  readonly #authority: Authority;
  readonly #ctlog: Awaited<ReturnType<typeof initializeCTLog>>;
  readonly #clockKey: KeyPair;
  readonly #clock: Awaited<ReturnType<typeof initializeTSA>>;

  private constructor(
    issuedAt: number,
    authority: Authority,
    ctlog: Awaited<ReturnType<typeof initializeCTLog>>,
    clockKey: KeyPair,
    clock: Awaited<ReturnType<typeof initializeTSA>>,
  ) {
    this.issuedAt = issuedAt;
    this.#authority = authority;
    this.#ctlog = ctlog;
    this.#clockKey = clockKey;
    this.#clock = clock;
  }

  static async create(): Promise<Instance> {
    const issuedAt = Math.ceil(Date.now() / 1000) * 1000 + 2 * MINUTE;
    const ctlog = await initializeCTLog(keyPair(), new Date(issuedAt));
    const authority = await initializeCA(keyPair('secp384r1'), ctlog, new Date(issuedAt));
    const clockKey = keyPair('secp384r1');
    const clock = await initializeTSA(clockKey, new Date(issuedAt + MINUTE));
    return new Instance(issuedAt, authority, ctlog, clockKey, clock);
  }

  trustedRoot() {
    const start = '2020-01-01T00:00:00Z';
    const chain = (...certificates: ArrayBufferView[]) => ({
      certificates: certificates.map((one) => ({ rawBytes: base64(one) })),
    });
    return {
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      tlogs: [this.logs[1].instance, this.logs[2].instance],
      certificateAuthorities: [
        {
          uri: 'https://fulcio.example',
          certChain: chain(this.#authority.rootCertificate),
          validFor: { start } as { start?: string; end?: string },
        },
      ],
      ctlogs: [
        {
          baseUrl: 'https://ctfe.example',
          hashAlgorithm: 'SHA2_256',
          publicKey: {
            rawBytes: this.#ctlog.publicKey.toString('base64'),
            keyDetails: 'PKIX_ECDSA_P256_SHA_256',
            validFor: { start } as { start?: string; end?: string },
          },
          logId: { keyId: base64(this.#ctlog.logID) },
        },
      ],
      timestampAuthorities: [
        {
          uri: 'https://timestamp.example',
          certChain: chain(this.#clock.intCertificate, this.#clock.rootCertificate),
          validFor: { start } as { start?: string; end?: string },
        },
      ],
    };
  }

  get rootCertificate(): string {
    return base64(this.#authority.rootCertificate);
  }

  async make(how: Making = {}): Promise<RawBundle> {
    const { format = 'v0.3', api = 1, stamps = api === 2 && how.key === undefined ? [1] : [] } = how;
    const key = how.key ?? keyPair();
    const { content, signature, body } = this.#signed(how, key, api);
    const certificate = how.key === undefined ? await this.#certify(key.publicKey) : undefined;
    body.setVerifier(certificate);
    const entry = this.logs[api].entry(body.body, this.issuedAt + MINUTE);
    const timestamps = await Promise.all(stamps.map((minutes) => this.stamp(signature, minutes)));
    return {
      mediaType: FORMATS[format],
      verificationMaterial: {
        ...signerOf(format, certificate, key.publicKey),
        tlogEntries: [entry],
        ...(timestamps.length > 0 && {
          timestampVerificationData: {
            rfc3161Timestamps: timestamps.map((signedTimestamp) => ({ signedTimestamp })),
          },
        }),
      },
      ...content,
    };
  }

  /** An RFC 3161 timestamp over a signature, so many minutes after the certificate was issued. */
  async stamp(signature: Buffer, minutes = 1, certificates = false): Promise<string> {
    const at = new Date(this.issuedAt + minutes * MINUTE);
    const clock = minutes === 1 ? this.#clock : await this.#clockAt(at);
    const stamp = await clock.timestamp({
      artifactHash: hash(signature),
      hashAlgorithmOID: '2.16.840.1.101.3.4.2.1',
      nonce: 1,
      policyOID: '1.3.6.1.4.1.57264.2',
      certReq: certificates,
    });
    return base64(stamp);
  }

  /** The same authority at another time. Its certificates have the same names, numbers and keys, so the first ones serve. */
  #clockAt(at: Date) {
    return initializeTSA(this.#clockKey, at);
  }

  #signed({ artifact = ARTIFACT, ...how }: Making, key: KeyPair, api: 1 | 2) {
    if (how.statement === undefined) {
      const digest = createHash('sha256').update(artifact).digest();
      const signature = signWith(key, artifact);
      const content = {
        messageSignature: {
          messageDigest: { algorithm: 'SHA2_256', digest: digest.toString('base64') },
          signature: signature.toString('base64'),
        },
      };
      return { content, signature, body: bodyOf('hashedrekord', api, digest, signature) };
    }
    const payload = Buffer.from(JSON.stringify(how.statement));
    const payloadType = how.payloadType ?? IN_TOTO;
    const signed = preAuthEncoding(payloadType, payload);
    const signature = signWith(key, signed);
    const sig = signature.toString('base64');
    const content = {
      dsseEnvelope: { payload: payload.toString('base64'), payloadType, signatures: [{ sig, keyid: '' }] },
    };
    const kind = how.kind ?? 'dsse';
    const digest = hash(kind === 'hashedrekord' ? signed : payload);
    return { content, signature, body: bodyOf(kind, api, digest, signature) };
  }

  async #certify(publicKey: KeyObject): Promise<Buffer> {
    const certificate = await this.#authority.issueCertificate({
      publicKey: publicKey.export({ format: 'der', type: 'spki' }),
      subjectAltName: IDENTITY,
      extensions: [{ oid: OID_ISSUER, value: ISSUER }],
    });
    return Buffer.from(base64(certificate), 'base64');
  }
}

/** What a log says of a signature, in the words of each kind of entry. */
function bodyOf(kind: EntryKind, api: 1 | 2, digest: Buffer, signature: Buffer) {
  let certificate: Buffer | undefined;
  const verifier = () =>
    (certificate === undefined ? Buffer.from('key') : pem(certificate)).toString('base64');
  const sig = signature.toString('base64');
  const spec = (): object => {
    if (api === 2) {
      const named = { data: { algorithm: 'SHA2_256', digest: digest.toString('base64') } };
      const signed = { content: sig, verifier: { keyDetails: 'PKIX_ECDSA_P256_SHA_256' } };
      return kind === 'hashedrekord'
        ? { hashedRekordV002: { ...named, signature: signed } }
        : { dsseV002: { payloadHash: named.data, signatures: [signed] } };
    }
    const hashed = { algorithm: 'sha256', value: digest.toString('hex') };
    if (kind === 'hashedrekord') {
      return {
        data: { hash: hashed },
        signature: { content: sig, publicKey: { content: verifier() } },
      };
    }
    if (kind === 'dsse') {
      return { payloadHash: hashed, signatures: [{ signature: sig, verifier: verifier() }] };
    }
    const envelope = {
      payloadType: IN_TOTO,
      signatures: [{ publicKey: verifier(), sig: Buffer.from(sig).toString('base64') }],
    };
    return { content: { envelope, payloadHash: hashed } };
  };
  const version = api === 2 || kind === 'intoto' ? '0.0.2' : '0.0.1';
  return {
    setVerifier(der: Buffer | undefined) {
      certificate = der;
    },
    get body(): Body {
      return { kind, apiVersion: version, spec: spec() };
    },
  };
}

function signerOf(format: keyof typeof FORMATS, certificate: Buffer | undefined, publicKey: KeyObject) {
  if (certificate === undefined) {
    return { publicKey: { hint: hash(publicKey.export({ format: 'der', type: 'spki' })).toString('hex') } };
  }
  const rawBytes = certificate.toString('base64');
  return format === 'v0.3' || format === 'v0.3 by its old name'
    ? { certificate: { rawBytes } }
    : { x509CertificateChain: { certificates: [{ rawBytes }] } };
}

export function keyPair(namedCurve = 'prime256v1'): KeyPair {
  return generateKeyPairSync('ec', { namedCurve });
}

function signWith({ privateKey }: KeyPair, message: Uint8Array): Buffer {
  return sign(privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256', message, privateKey);
}

function pem(der: Buffer): Buffer {
  return Buffer.from(new X509Certificate(der).toString());
}

function base64(bytes: ArrayBufferView): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** An in-toto statement about the artifact. */
export function statement(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'artifact', digest: { sha256: hash(ARTIFACT).toString('hex') } }],
    predicateType: 'https://example.com/predicate',
    predicate: {},
    ...change,
  };
}
