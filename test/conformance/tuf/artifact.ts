/** One artifact: from the folder where it is already the right one, else fetched, verified, and only then written. TUF 5.7 */
import { createHash } from 'node:crypto';
import type { Files, TargetFile } from '@tidegate/client-sdk/trust/tuf';
import type { RepositoryGet } from './http.ts';
import { fileName, targetUrl } from './names.ts';

export interface Places {
  store: Files;
  artifacts: RepositoryGet;
  /** Whether the repository puts a digest before the file's name. TUF 6.2 */
  hashed: boolean;
}

/** @throws when no hash of it is known here, or the repository does not have these very bytes. */
export async function fetchArtifact(path: string, target: TargetFile, places: Places): Promise<void> {
  const digest = target.sha256 ?? target.sha512;
  if (digest === undefined) throw new Error(`${path}: listed without SHA-256 and SHA-512`);
  const file = fileName(path);
  const there = await places.store.read(file, target.length);
  if (there !== undefined && isTarget(there, target)) return;
  const url = targetUrl(path, places.hashed ? digest : undefined);
  const bytes = await places.artifacts(url, target.length);
  if (bytes === undefined) throw new Error(`the repository has no ${path}`);
  if (!isTarget(bytes, target)) throw new Error(`${path}: not the bytes that are signed`);
  await places.store.write(file, bytes);
}

function isTarget(bytes: Uint8Array, { length, ...digests }: TargetFile): boolean {
  const right = (algorithm: 'sha256' | 'sha512') =>
    digests[algorithm] === undefined ||
    createHash(algorithm).update(bytes).digest('hex') === digests[algorithm];
  return bytes.length === length && right('sha256') && right('sha512');
}
