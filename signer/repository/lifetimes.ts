const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * How long a signature counts, by role, in days. Documented defaults:
 * - offline roles (`root`, `targets`, product roles): 90, the most that design §3 allows, because that is how long a thief
 *   of the online keys can hold a fleet back;
 * - `snapshot`: 7; `timestamp`: 1. The service signs both again from half their life on.
 */
export const LIFETIME_DAYS = { root: 90, targets: 90, product: 90, snapshot: 7, timestamp: 1 } as const;

export type Lifetime = keyof typeof LIFETIME_DAYS;

/**
 * When a document signed now expires: RFC 3339, UTC, whole seconds.
 * @param now milliseconds since the epoch.
 */
export function expiryOf(role: Lifetime, now: number): string {
  return new Date(now + LIFETIME_DAYS[role] * DAY_MS).toISOString().replace(/\.\d{3}Z$/, 'Z');
}
