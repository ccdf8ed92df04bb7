/** While chargers hold newer metadata than the service has, they are told to come again, and get nothing. */
import type { Db } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import { type Ahead, isBehind, loadAhead } from '../publishing/index.ts';

const RETRY_AFTER_SECONDS = 60;

/** What a charger is told. */
export function repositoryBehind(detail: string): ApiError {
  return new ApiError('REPOSITORY_BEHIND', detail, {
    headers: { 'Retry-After': String(RETRY_AFTER_SECONDS) },
  });
}

export function detailOf(ahead: readonly Ahead[]): string {
  const roles = ahead.filter(({ credence }) => credence === 'believed');
  return roles
    .map(({ role, published, reported }) => `${role} ${published} is published, chargers trust ${reported}`)
    .join('; ');
}

/** @throws ApiError `REPOSITORY_BEHIND` */
export async function requireNotBehind(db: Db, organisation: string, now: number): Promise<void> {
  const ahead = await loadAhead(db, organisation, now);
  if (isBehind(ahead)) throw repositoryBehind(detailOf(ahead));
}
