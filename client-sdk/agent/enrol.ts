/** A charger's identity: a key made on the device that never leaves it, and a certificate for it, got with a one-time token. */
import { mkdir } from 'node:fs/promises';
import { webcrypto, X509Certificate, createPrivateKey, createPublicKey } from 'node:crypto';
import { Refusal } from '../protocol/index.ts';
import type { EnrolAnswer, EnrolRequest } from '../protocol/index.ts';
import { diskFiles } from '../trust/index.ts';
import type { Files } from '../trust/index.ts';
import type { Provisioning } from './provisioning.ts';

const KEY = 'identity/key.pem';
const CERTIFICATE = 'identity/certificate.pem';
/** P-256: every TLS stack and secure element has it. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface ClientIdentity {
  /** PEM: leaf, then its chain. */
  certificate: string;
  /** PKCS #8, PEM. */
  key: string;
}

export interface Enrolment {
  provisioning: Pick<Provisioning, 'organisation' | 'serial' | 'hardware'>;
  /** The charger's state folder. */
  folder: string;
  token: string;
  /** `httpsTransport({ service, ca })` */
  transport: { enrol(body: EnrolRequest): Promise<EnrolAnswer> };
}

/**
 * Gets the charger its certificate and keeps it in `identity/` of the state folder, the key with mode 600. A key that an earlier try
 * left is used again, so that a lost answer costs a token and nothing else.
 * @throws Refusal `SERVICE_REFUSED` (the token is used up, expired or for another serial), `SERVICE_UNREACHABLE`
 */
export async function enrol({ provisioning, folder, token, transport }: Enrolment): Promise<ClientIdentity> {
  const { organisation, serial, hardware } = provisioning;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files = diskFiles(folder);
  const pair = await keyPair(files);
  const csr = await requestFor(pair.keys, { serial, organisation });
  const answer = await transport.enrol({ token, serial, hardware, csr });
  mustFit(answer.certificate, pair.pem);
  const certificate = `${answer.certificate.trim()}\n${answer.chain.trim()}\n`;
  await files.write(CERTIFICATE, Buffer.from(certificate));
  return { certificate, key: pair.pem };
}

/** The identity that `enrol` kept; undefined where the charger is not enrolled. */
export async function readIdentity(folder: string): Promise<ClientIdentity | undefined> {
  const files = diskFiles(folder);
  const [certificate, key] = [await files.read(CERTIFICATE), await files.read(KEY)];
  if (!certificate || !key) return undefined;
  return { certificate: certificate.toString('utf8'), key: key.toString('utf8') };
}

/** PKCS #10. The library is loaded here, because an enrolled charger never needs it again. */
async function requestFor(
  keys: webcrypto.CryptoKeyPair,
  subject: { serial: string; organisation: string },
): Promise<string> {
  await import('reflect-metadata');
  const { Pkcs10CertificateRequestGenerator } = await import('@peculiar/x509');
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [subject.serial] }, { O: [subject.organisation] }],
    keys,
    signingAlgorithm: ALGORITHM,
  });
  return request.toString('pem');
}

interface KeyPair {
  keys: webcrypto.CryptoKeyPair;
  pem: string;
}

async function keyPair(files: Files): Promise<KeyPair> {
  const kept = await files.read(KEY);
  if (kept) return imported(kept.toString('utf8'));
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const pem = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
  // `Files` writes with mode 600.
  await files.write(KEY, Buffer.from(pem));
  return { keys, pem };
}

async function imported(pem: string): Promise<KeyPair> {
  const key = createPrivateKey(pem);
  const { subtle } = webcrypto;
  const secret = key.export({ format: 'der', type: 'pkcs8' });
  const open = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const keys = {
    privateKey: await subtle.importKey('pkcs8', secret, ALGORITHM, true, ['sign']),
    publicKey: await subtle.importKey('spki', open, ALGORITHM, true, ['verify']),
  };
  return { keys, pem };
}

/** A certificate for another key would lock the charger out. */
function mustFit(certificate: string, key: string): void {
  let fits = false;
  try {
    fits = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    throw new Refusal('SERVICE_UNREACHABLE', 'enrolment was answered with no certificate', { cause: error });
  }
  if (!fits)
    throw new Refusal('SERVICE_UNREACHABLE', 'enrolment was answered with a certificate for another key');
}
