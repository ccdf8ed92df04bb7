import { X509Certificate, randomBytes, webcrypto } from 'node:crypto';
// @peculiar/x509 refuses to load without it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import type { Clock } from '@tidegate/client-sdk/protocol';
import { ApiError } from '../http/index.ts';
import { type AuthorityKey, P256, openAuthorityKey } from './authority-files.ts';

const DAY = 24 * 60 * 60 * 1000;
/** Life of a leaf certificate, on the wall's clock. */
export const CERTIFICATE_DAYS = 90;
/** A charger whose clock is a little behind still finds its new certificate valid. */
const BACKDATED = 60 * 60 * 1000;
/** A P-256 request is about 500 bytes. */
const LONGEST_CSR = 8 * 1024;

export interface IssuedCertificate {
  /** PEM. */
  certificate: string;
  /** Fingerprint: SHA-256 of the DER, hex. */
  sha256: string;
  expiresAt: Date;
}

/** Issues the certificates of chargers, and the service's own. Its key stays in one folder, mode 600. */
export class DeviceAuthority {
  readonly #key: AuthorityKey;
  readonly #wall: Clock;

  private constructor(key: AuthorityKey, wall: Clock) {
    this.#key = key;
    this.#wall = wall;
  }

  /**
   * Opens the CA of a folder, or makes it.
   * @param wall certificates live on the wall's clock, because TLS reads nothing else.
   * @throws AuthorityError `AUTHORITY_BROKEN`
   */
  static async open(folder: string, wall: Clock): Promise<DeviceAuthority> {
    return new DeviceAuthority(await openAuthorityKey(folder, wall.now()), wall);
  }

  /** The CA's certificate, PEM: what TLS trusts for clients, and what clients trust for the service. */
  get certificate(): string {
    return this.#key.certificate.toString('pem');
  }

  /**
   * A charger's client certificate. The request's own subject and extensions are ignored: who it is for is the caller's to say.
   * @param csr PKCS #10, PEM, signed by its own P-256 key.
   * @throws ApiError `CSR_INVALID`
   */
  async issueCharger(
    csr: string,
    charger: { organisation: string; serial: string },
  ): Promise<IssuedCertificate> {
    const publicKey = await provenKey(csr);
    const { organisation, serial } = charger;
    return this.#issue(
      publicKey,
      [{ CN: [serial] }, { O: [organisation] }],
      [
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension([
          { type: 'url', value: `urn:tidegate:charger:${organisation}:${serial}` },
        ]),
      ],
    );
  }

  /** A server certificate for the service itself, with a new key (PKCS #8 PEM). @param names DNS names and IP addresses. */
  async issueServer(names: { dns: string[]; ip: string[] }): Promise<IssuedCertificate & { key: string }> {
    const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
    const issued = await this.#issue(
      keys.publicKey,
      [{ CN: ['Tidegate service'] }],
      [
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([
          ...names.dns.map((value) => ({ type: 'dns' as const, value })),
          ...names.ip.map((value) => ({ type: 'ip' as const, value })),
        ]),
      ],
    );
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
    return { ...issued, key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
  }

  async #issue(
    publicKey: webcrypto.CryptoKey,
    subject: x509.JsonName,
    extensions: x509.Extension[],
  ): Promise<IssuedCertificate> {
    const { certificate: ca, privateKey } = this.#key;
    const now = this.#wall.now();
    const expiresAt = new Date(now + CERTIFICATE_DAYS * DAY);
    const leaf = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: new x509.Name(subject),
      issuer: ca.subjectName,
      notBefore: new Date(now - BACKDATED),
      notAfter: expiresAt,
      publicKey,
      signingKey: privateKey,
      signingAlgorithm: P256,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(publicKey),
        ...extensions,
      ],
    });
    const certificate = leaf.toString('pem');
    const sha256 = new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase();
    return { certificate, sha256, expiresAt };
  }
}

/** RFC 5280 §4.1.2.2: positive, at most 20 bytes; CA/Browser baseline: at least 64 random bits. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** The key of a request that is signed with that very key. */
async function provenKey(csr: string): Promise<webcrypto.CryptoKey> {
  if (csr.length > LONGEST_CSR) throw new ApiError('CSR_INVALID', 'The request is too long.', CSR_FIELD);
  try {
    const request = new x509.Pkcs10CertificateRequest(csr);
    const key = await request.publicKey.export(P256, ['verify']);
    const algorithm = key.algorithm as webcrypto.EcKeyAlgorithm;
    if (
      algorithm.name === P256.name &&
      algorithm.namedCurve === P256.namedCurve &&
      (await request.verify())
    ) {
      return key;
    }
  } catch (error) {
    // Whatever the parser throws on hostile bytes is one refusal.
    throw new ApiError('CSR_INVALID', 'The request does not parse.', { ...CSR_FIELD, cause: error });
  }
  throw new ApiError('CSR_INVALID', 'The key is not P-256, or did not sign the request.', CSR_FIELD);
}

const CSR_FIELD = { pointer: '/csr' };
