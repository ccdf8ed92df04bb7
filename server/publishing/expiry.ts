import { metadataKey } from '@tidegate/signer/repository';
import { readBlob } from './current.ts';
import type { PublishingDeps } from './types.ts';

/** When the published metadata of a role expires. */
export interface RoleExpiry {
  /** A top-level role or a product. */
  role: string;
  /** Milliseconds since the epoch, of the fleet's clock. */
  expires: number;
}

/**
 * Reads when each published role expires: from then on chargers take nothing that it lists, and only people can sign it again. What a
 * version says never changes, so each is read once.
 * @returns a function that gives every role; none before the first publication.
 */
export function roleExpiries({
  db,
  blobs,
  organisation,
}: Pick<PublishingDeps, 'db' | 'blobs' | 'organisation'>): () => Promise<RoleExpiry[]> {
  let known = new Map<string, number>();
  return async () => {
    const row = await db
      .selectFrom('repository')
      .select(['root_version', 'targets_version', 'snapshot_version', 'timestamp_expires_at', 'roles'])
      .where('organisation', '=', organisation)
      .executeTakeFirst();
    if (row === undefined) return [];
    const versions = {
      root: row.root_version,
      targets: row.targets_version,
      snapshot: row.snapshot_version,
      ...row.roles,
    };
    const found = new Map<string, number>();
    const expiries: RoleExpiry[] = [{ role: 'timestamp', expires: row.timestamp_expires_at.getTime() }];
    for (const [role, version] of Object.entries(versions)) {
      const key = metadataKey(role, version);
      const expires = known.get(key) ?? expiryIn(await readBlob(blobs, key));
      found.set(key, expires);
      expiries.push({ role, expires });
    }
    known = found;
    return expiries;
  };
}

/** Milliseconds since the epoch. */
export function expiryIn(document: Buffer): number {
  const { signed } = JSON.parse(document.toString('utf8')) as { signed: { expires: string } };
  return Date.parse(signed.expires);
}
