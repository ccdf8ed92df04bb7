import { X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { DeviceAuthority } from '../identity/index.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Renewed this long before it ends: a third of its life. */
const RENEW_BEFORE_MS = 30 * DAY_MS;

/**
 * Certificate and key of the service, from its own CA: for this machine's name and loopback. Kept over restarts, so that nothing
 * that is connected has to notice; made anew when it nears its end, misses a name, or is not of this CA.
 *
 * @param wall milliseconds since the epoch on the wall's clock: TLS reads no other.
 */
export async function serverCertificate(
  folder: string,
  authority: DeviceAuthority,
  wall: number,
): Promise<{ cert: string; key: string }> {
  const dns = [...new Set(['localhost', hostname()])];
  const ip = ['127.0.0.1', '::1'];
  const kept = await readKept(folder);
  if (kept !== undefined && fits(kept.cert, authority, dns, wall)) return kept;
  const { certificate, key } = await authority.issueServer({ dns, ip });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // One file for both, because one write is whole and two are not.
  await writeWhole(join(folder, 'server.pem'), `${certificate.trim()}\n${key.trim()}\n`);
  return { cert: certificate, key };
}

async function readKept(folder: string): Promise<{ cert: string; key: string } | undefined> {
  const text = await readFile(join(folder, 'server.pem'), 'utf8').catch(() => '');
  const [cert] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text) ?? [];
  const [key] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text) ?? [];
  return cert === undefined || key === undefined ? undefined : { cert, key };
}

function fits(pem: string, authority: DeviceAuthority, names: string[], wall: number): boolean {
  try {
    const certificate = new X509Certificate(pem);
    const ca = new X509Certificate(authority.certificate);
    return (
      certificate.verify(ca.publicKey) &&
      names.every((name) => certificate.checkHost(name) !== undefined) &&
      Date.parse(certificate.validTo) - wall > RENEW_BEFORE_MS
    );
  } catch {
    // A torn or foreign file: a new one takes its place.
    return false;
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  const aside = `${path}.new`;
  await writeFile(aside, text, { mode: 0o600, flush: true });
  // A file left by an interrupted start keeps its old mode.
  await chmod(aside, 0o600);
  await rename(aside, path);
}
