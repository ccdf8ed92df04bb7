/** Timestamp authorities renew their certificates; those of @sigstore/mock do not. */
import type { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { initializeTSA } from '@sigstore/mock';

export type Clock = Awaited<ReturnType<typeof initializeTSA>>;

/** What the mock shows to JavaScript alone. */
interface Inside {
  intCert: object;
  keyPair: webcrypto.CryptoKeyPair;
  crypto: webcrypto.Crypto;
}

/** The authority with its certificate renewed: another number in it, the same names and keys. */
export async function renewedClock(original: Clock, ...of: Parameters<typeof initializeTSA>): Promise<Clock> {
  const clock = await initializeTSA(...of);
  const inside = clock as unknown as Inside;
  const old = new x509.X509Certificate(original.intCertificate);
  const { subject, issuer, notBefore, notAfter, extensions } = old;
  const renewed = await x509.X509CertificateGenerator.create(
    {
      subject,
      issuer,
      notBefore,
      notAfter,
      extensions,
      serialNumber: '77',
      signingAlgorithm: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-384' },
      publicKey: inside.keyPair.publicKey,
      signingKey: inside.keyPair.privateKey,
    },
    inside.crypto,
  );
  const Certificate = inside.intCert.constructor as unknown as { fromBER(bytes: ArrayBuffer): object };
  inside.intCert = Certificate.fromBER(renewed.rawData);
  return clock;
}
