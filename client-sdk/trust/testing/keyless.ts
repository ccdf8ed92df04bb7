/**
 * A private Sigstore in small: a certificate authority and transparency logs whose trees hold one entry. It speaks the formats of Fulcio
 * and Rekor v1, so that @sigstore/verify checks real certificates, inclusion proofs, checkpoints and promises.
 */
import 'reflect-metadata';
import { createHash, sign, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { IN_TOTO_PAYLOAD_TYPE, preAuthEncoding } from '../../protocol/index.ts';
import { canonicalBytes } from '../canonical.ts';
import { testKey, type TestKey } from './keys.ts';

export const ISSUER = 'https://token.ci.example';
export const WORKFLOW = 'https://ci.example/acme/firmware/.ci/release.yml';
/** When the logs integrate an entry. */
export const SIGNED_AT = Date.parse('2026-11-01T10:00:00Z');
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const OID_ISSUER_V2 = '1.3.6.1.4.1.57264.1.8';

export class TestLog {
  readonly key: TestKey = testKey('p256');
  readonly url: string;
  constructor(url: string) {
    this.url = url;
  }

  /** As `tlogs` of a TrustedRoot names it. */
  get instance() {
    return {
      baseUrl: this.url,
      hashAlgorithm: 'SHA2_256',
      publicKey: {
        rawBytes: spkiBase64(this.key),
        keyDetails: 'PKIX_ECDSA_P256_SHA_256',
        validFor: { start: '2026-01-01T00:00:00Z' },
      },
      logId: { keyId: Buffer.from(this.key.hint, 'hex').toString('base64') },
    };
  }

  /** An entry for a DSSE envelope, with proof of inclusion and a promise that tells the time. */
  entry(payload: Uint8Array, signature: Uint8Array, at = SIGNED_AT, url = this.url) {
    const digest = createHash('sha256').update(payload).digest('hex');
    const body = canonicalBytes({
      apiVersion: '0.0.1',
      kind: 'dsse',
      spec: {
        payloadHash: { algorithm: 'sha256', value: digest },
        signatures: [{ signature: Buffer.from(signature).toString('base64') }],
        url,
      },
    });
    const leaf = createHash('sha256')
      .update(Buffer.from([0]))
      .update(body)
      .digest();
    const integratedTime = at / 1000;
    const promise = canonicalBytes({
      body: body.toString('base64'),
      integratedTime,
      logID: this.key.hint,
      logIndex: 0,
    });
    return {
      logIndex: '0',
      logId: { keyId: Buffer.from(this.key.hint, 'hex').toString('base64') },
      kindVersion: { kind: 'dsse', version: '0.0.1' },
      integratedTime: String(integratedTime),
      inclusionPromise: { signedEntryTimestamp: this.key.sign(promise).toString('base64') },
      inclusionProof: {
        logIndex: '0',
        rootHash: leaf.toString('base64'),
        treeSize: '1',
        hashes: [],
        checkpoint: { envelope: this.#checkpoint(leaf) },
      },
      canonicalizedBody: body.toString('base64'),
    };
  }

  #checkpoint(root: Buffer): string {
    const name = new URL(this.url).host;
    const note = `${name}\n1\n${root.toString('base64')}\n`;
    const hint = Buffer.from(this.key.hint, 'hex').subarray(0, 4);
    const signature = Buffer.concat([hint, this.key.sign(Buffer.from(note))]).toString('base64');
    return `${note}\n\u2014 ${name} ${signature}\n`;
  }
}

export class TestSigstore {
  readonly logs = [new TestLog('https://log-one.example'), new TestLog('https://log-two.example')] as const;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #authority: x509.X509Certificate;

  private constructor(keys: webcrypto.CryptoKeyPair, authority: x509.X509Certificate) {
    this.#keys = keys;
    this.#authority = authority;
  }

  static async create(): Promise<TestSigstore> {
    const keys = await newKeys();
    const authority = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: 'CN=test authority',
      notBefore: new Date('2026-01-01T00:00:00Z'),
      notAfter: new Date('2030-01-01T00:00:00Z'),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 1, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new TestSigstore(keys, authority);
  }

  /** `trust/sigstore_root.json` */
  trustedRoot(): Buffer {
    const certificates = [{ rawBytes: Buffer.from(this.#authority.rawData).toString('base64') }];
    return Buffer.from(
      JSON.stringify({
        mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
        tlogs: this.logs.map((log) => log.instance),
        certificateAuthorities: [
          {
            uri: 'https://fulcio.example',
            certChain: { certificates },
            validFor: { start: '2026-01-01T00:00:00Z' },
          },
        ],
        ctlogs: [],
        timestampAuthorities: [],
      }),
    );
  }

  /** A bundle by the CI identity `san`, whose certificate lives ten minutes. */
  async bundle(
    said: unknown,
    { san = `${WORKFLOW}@refs/tags/v1.2.0`, issuer = ISSUER, logs = this.logs.slice(0, 1) } = {},
  ): Promise<Buffer> {
    const keys = await newKeys();
    const certificate = await this.#certify(keys, san, issuer);
    const payload = Buffer.from(JSON.stringify(said));
    const message = preAuthEncoding(IN_TOTO_PAYLOAD_TYPE, payload);
    const privateKey = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    const sig = sign('sha256', message, { key: privateKey, format: 'der', type: 'pkcs8' });
    return Buffer.from(
      JSON.stringify({
        mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
        verificationMaterial: {
          certificate: { rawBytes: Buffer.from(certificate.rawData).toString('base64') },
          tlogEntries: logs.map((log) => log.entry(payload, sig)),
        },
        dsseEnvelope: {
          payloadType: IN_TOTO_PAYLOAD_TYPE,
          payload: payload.toString('base64'),
          signatures: [{ keyid: '', sig: sig.toString('base64') }],
        },
      }),
    );
  }

  async #certify(keys: webcrypto.CryptoKeyPair, san: string, issuer: string): Promise<x509.X509Certificate> {
    const utf8 = Buffer.from(issuer);
    return x509.X509CertificateGenerator.create({
      serialNumber: '02',
      issuer: this.#authority.subject,
      subject: '',
      notBefore: new Date(SIGNED_AT - 5 * 60_000),
      notAfter: new Date(SIGNED_AT + 5 * 60_000),
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.3']),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: san }], true),
        await x509.AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
        // UTF8String, as Fulcio writes it
        new x509.Extension(OID_ISSUER_V2, false, Buffer.concat([Buffer.from([0x0c, utf8.length]), utf8])),
      ],
    });
  }
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

/** The same entry by a key builder, for policies that ask keys for logs or times. */
export function withEntries(bundle: Buffer, logs: readonly TestLog[], at?: number): Buffer {
  const raw = JSON.parse(bundle.toString());
  const { payload, signatures } = raw.dsseEnvelope;
  raw.verificationMaterial.tlogEntries = logs.map((log) =>
    log.entry(Buffer.from(payload, 'base64'), Buffer.from(signatures[0].sig, 'base64'), at),
  );
  return Buffer.from(JSON.stringify(raw));
}

function spkiBase64(key: TestKey): string {
  return key.pem.replaceAll(/-----[A-Z ]+-----|\n/g, '');
}
