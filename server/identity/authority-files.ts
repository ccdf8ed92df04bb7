import { webcrypto } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
// @peculiar/x509 refuses to load without it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { AuthorityError } from './errors.ts';

/** Algorithm of every key and signature of the device CA. */
export const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface AuthorityKey {
  certificate: x509.X509Certificate;
  privateKey: webcrypto.CryptoKey;
}

const KEY_FILE = 'ca.key.pem';
const CERTIFICATE_FILE = 'ca.cert.pem';
const YEARS = 365 * 24 * 60 * 60 * 1000;

/**
 * The CA of a folder; made when the folder has none. The certificate is written last, so that a folder with one is whole.
 * @param now of the wall's clock, milliseconds.
 * @throws AuthorityError `AUTHORITY_BROKEN`
 */
export async function openAuthorityKey(folder: string, now: number): Promise<AuthorityKey> {
  const certificate = await readIfThere(join(folder, CERTIFICATE_FILE));
  if (certificate === undefined) return createAuthorityKey(folder, now);
  const key = await readIfThere(join(folder, KEY_FILE));
  if (key === undefined) throw new AuthorityError('AUTHORITY_BROKEN', `${KEY_FILE} is missing.`);
  try {
    const authority = {
      certificate: new x509.X509Certificate(certificate),
      privateKey: await webcrypto.subtle.importKey('pkcs8', fromPem(key), P256, false, ['sign']),
    };
    await requireMatch(authority);
    return authority;
  } catch (error) {
    throw new AuthorityError('AUTHORITY_BROKEN', folder, { cause: error });
  }
}

async function createAuthorityKey(folder: string, now: number): Promise<AuthorityKey> {
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Tidegate device CA',
    keys,
    signingAlgorithm: P256,
    notBefore: new Date(now - 60 * 60 * 1000),
    notAfter: new Date(now + 10 * YEARS),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  await writeWhole(join(folder, KEY_FILE), x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'), 0o600);
  await writeWhole(join(folder, CERTIFICATE_FILE), certificate.toString('pem'), 0o644);
  return { certificate, privateKey: keys.privateKey };
}

/** A key beside another CA's certificate would issue certificates that nobody can verify. */
async function requireMatch({ certificate, privateKey }: AuthorityKey): Promise<void> {
  const probe = Buffer.from('tidegate');
  const signature = await webcrypto.subtle.sign(P256, privateKey, probe);
  const publicKey = await certificate.publicKey.export(P256, ['verify']);
  if (!(await webcrypto.subtle.verify(P256, publicKey, signature, probe))) throw new Error('key mismatch');
}

function fromPem(pem: string): ArrayBuffer {
  const [der] = x509.PemConverter.decode(pem);
  if (der === undefined) throw new Error('no PEM block');
  return der;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const aside = `${path}.new`;
  const file = await open(aside, 'w', mode);
  try {
    await file.writeFile(`${text}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  // A file left by an interrupted start keeps its old mode through open().
  await chmod(aside, mode);
  await rename(aside, path);
}
