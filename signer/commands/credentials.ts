/** Credentials of the people who call the service: a file for each person, and for the service only the SHA-256 of each secret. */
import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from '../whole-file.ts';

export type OperatorRole = 'admin' | 'release-engineer' | 'operator' | 'viewer';

/** What a person keeps. */
export interface CredentialFile {
  service: string;
  /** The service's CA, PEM. Empty until the service's first start makes the CA. */
  ca: string;
  organisation: string;
  name: string;
  /** `<id>.<secret>` */
  credential: string;
}

/** What the service is given. */
export interface OperatorEntry {
  name: string;
  roles: OperatorRole[];
  credentialId: string;
  /** Hex. */
  secretSha256: string;
}

export function newCredential(
  name: string,
  roles: OperatorRole[],
  service: string,
  organisation: string,
): { file: CredentialFile; entry: OperatorEntry } {
  const credentialId = randomBytes(9).toString('base64url');
  const secret = randomBytes(32).toString('base64url');
  return {
    file: { service, ca: '', organisation, name, credential: `${credentialId}.${secret}` },
    entry: { name, roles, credentialId, secretSha256: createHash('sha256').update(secret).digest('hex') },
  };
}

/**
 * Writes the service's CA into the credential files that lack it. For the service's start: the CA does not exist before.
 * @param folder `credentials/`; one that is missing is not an error, because people's files may lie elsewhere.
 * @returns the names whose file was completed.
 */
export async function completeCredentials(folder: string, ca: string): Promise<string[]> {
  const names = await readdir(folder).catch((): string[] => []);
  const completed: string[] = [];
  for (const name of names.filter((file) => file.endsWith('.json')).sort()) {
    const path = join(folder, name);
    const file = JSON.parse(await readFile(path, 'utf8')) as CredentialFile;
    if (file.ca !== '') continue;
    await writeCredential(folder, { ...file, ca });
    completed.push(file.name);
  }
  return completed;
}

export async function writeCredential(folder: string, file: CredentialFile): Promise<void> {
  await writeWhole(join(folder, `${file.name}.json`), `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
}
