/** A certificate for a person's e-mail address, as Fulcio gives one for a token with the claim `email`: @sigstore/mock knows URIs alone. */
import type { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { initializeCA, initializeCTLog } from '@sigstore/mock';

type CA = Awaited<ReturnType<typeof initializeCA>>;
type CTLog = Awaited<ReturnType<typeof initializeCTLog>>;

const OID_ISSUER = '1.3.6.1.4.1.57264.1.8';
const OID_SCTS = '1.3.6.1.4.1.11129.2.4.2';
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface Person {
  email: string;
  issuer: string;
}

/** @param publicKey SPKI, PEM. @returns PEM, with a promise of the certificate log. */
export async function certifyPerson(
  ca: CA,
  log: CTLog,
  now: Date,
  publicKey: string,
  { email, issuer }: Person,
): Promise<string> {
  // The mock shows its authority's keys, which are of a Web Crypto of its own, to JavaScript alone.
  const { keyPair, crypto } = ca as unknown as { keyPair: webcrypto.CryptoKeyPair; crypto: webcrypto.Crypto };
  const spki = await crypto.subtle.exportKey('spki', keyPair.publicKey);
  const key = await crypto.subtle.importKey('spki', derOf(publicKey), ALGORITHM, true, ['verify']);
  const create = (more: x509.Extension[]) =>
    x509.X509CertificateGenerator.create(
      {
        serialNumber: '03',
        issuer: new x509.X509Certificate(ca.rootCertificate).subject,
        notBefore: now,
        notAfter: new Date(now.getTime() + 600_000),
        signingAlgorithm: { ...ALGORITHM, hash: 'SHA-384' },
        publicKey: key,
        signingKey: keyPair.privateKey,
        extensions: [
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.3']),
          new x509.SubjectAlternativeNameExtension([{ type: 'email', value: email }], true),
          new x509.Extension(OID_ISSUER, false, tagged(0x0c, Buffer.from(issuer))),
          ...more,
        ],
      },
      crypto,
    );
  const issuerId = await crypto.subtle.digest('SHA-256', spki);
  const promised = await log.log((await create([])).rawData, issuerId);
  const sct = Buffer.from(promised);
  const list = Buffer.concat([Buffer.from([sct.length >> 8, sct.length & 0xff]), sct]);
  return (await create([new x509.Extension(OID_SCTS, false, tagged(0x04, list))])).toString('pem');
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
}

/** DER of up to 255 bytes. */
function tagged(tag: number, content: Buffer): Buffer {
  const size = content.length < 128 ? [content.length] : [0x81, content.length];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
