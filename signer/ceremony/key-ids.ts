import { CeremonyError } from './errors.ts';

/** Whether a key id begins like this. People type the first digits, at least eight of them. */
export function begins(keyId: string, beginning: string): boolean {
  return /^[0-9a-f]{8,64}$/.test(beginning) && keyId.startsWith(beginning);
}

/**
 * A key by the beginning of its id.
 * @throws CeremonyError `PERSON_UNKNOWN`, `KEY_AMBIGUOUS`
 */
export function oneKey(keyIds: readonly string[], beginning: string): string {
  const [only, ...more] = new Set(keyIds.filter((keyId) => begins(keyId, beginning)));
  if (only === undefined) throw new CeremonyError('PERSON_UNKNOWN', `key ${beginning}`);
  if (more.length > 0) throw new CeremonyError('KEY_AMBIGUOUS', beginning);
  return only;
}
