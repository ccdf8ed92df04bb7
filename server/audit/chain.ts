import { createHash } from 'node:crypto';
import type { AuditEntry } from '@tidegate/rollout/shell';

/** A row of the audit log without its hashes: what the hash is taken over. */
export interface AuditContent extends AuditEntry {
  organisation: string;
  /** 1 for the first row of an organisation, without gaps. */
  position: number;
  /** RFC 3339 with milliseconds, UTC. */
  at: string;
}

/** What stands before the first row. */
export const GENESIS = '0'.repeat(64);

/** Hash of one row: SHA-256 over the previous row's hash (64 hex digits) followed by the row's canonical JSON. Design §8.10 */
export function auditHash(previous: string, content: AuditContent): string {
  const { organisation, position, at, actor, action, subject, reason, source, detail } = content;
  // Named one by one, so that a column added later cannot silently stay outside the hash or break old rows.
  const row = { organisation, position, at, actor, action, subject, reason, source, detail };
  return createHash('sha256').update(previous).update(canonicalJson(row)).digest('hex');
}

/** JSON with sorted keys and ECMAScript's own number and string forms. RFC 8785 */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
