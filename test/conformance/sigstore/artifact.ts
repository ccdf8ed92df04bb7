/** What a signature has to be about: a file, or only its digest. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';

export interface Artifact {
  sha256: Buffer;
  /** Undefined where only the digest is given. */
  bytes: Buffer | undefined;
}

const DIGEST = /^sha256:([0-9a-fA-F]{64})$/;

/** @param text `sha256:<hex>` where there is no such file, otherwise a path. */
export async function readArtifact(text: string): Promise<Artifact> {
  const hex = DIGEST.exec(text)?.[1];
  if (hex !== undefined && !(await exists(text))) {
    return { sha256: Buffer.from(hex, 'hex'), bytes: undefined };
  }
  const bytes = await readFile(text);
  return { sha256: createHash('sha256').update(bytes).digest(), bytes };
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
