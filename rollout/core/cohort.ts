import { createHash } from 'node:crypto';

/** Places on the ring that cohorts are drawn from: keys and offsets are whole numbers below this. */
export const RING = 2 ** 32;

/** A charger's place on the ring: the first 32 bits of SHA-256 over its serial number. */
export function cohortKey(serial: string): number {
  return createHash('sha256').update(serial, 'utf8').digest().readUInt32BE(0);
}

/**
 * Where the draw of one rollout begins on one stratum's ring. Chargers are taken by rising `(key − offset) mod 2³²`, then by serial number.
 * Anybody who knows the seed repeats the draw.
 */
export function drawOffset(seed: string, stratum: string): number {
  return createHash('sha256')
    .update(JSON.stringify([seed, stratum]), 'utf8')
    .digest()
    .readUInt32BE(0);
}

/** Distance from the draw's beginning along the ring. */
export function ringDistance(key: number, offset: number): number {
  return (key - offset + RING) % RING;
}

export interface Stratum {
  /** Hardware, site type and region, joined by `/`. */
  stratum: string;
  /** Selected chargers in it, drawn ones included. */
  size: number;
  /** Of those, drawn by earlier steps. */
  taken: number;
}

/**
 * How many of the next `n` chargers come from each stratum, so that all drawn so far mirror the fleet: proportional, remainders to the
 * largest, ties by name. Never more than a stratum has left, and never fewer than none, so that earlier steps stay as they are.
 * @returns one entry per stratum in the order given; their sum is `n`, or all that is left.
 */
export function allocate(strata: readonly Stratum[], n: number): { stratum: string; count: number }[] {
  const left = strata.map((each) => each.size - each.taken);
  const counts = strata.map(() => 0);
  const wanted = Math.min(n, sum(left));
  const share = (sum(strata.map((each) => each.taken)) + wanted) / Math.max(1, sum(strata.map(sizeOf)));
  const claims = fit(
    strata.map((each) => each.size * share - each.taken),
    left,
    wanted,
  );
  claims.forEach((claim, i) => (counts[i] = Math.min(left[i] ?? 0, Math.floor(claim + 1e-9))));
  for (const i of byRemainder(strata, claims)) {
    if (sum(counts) >= wanted) break;
    if ((counts[i] ?? 0) < (left[i] ?? 0)) counts[i] = (counts[i] ?? 0) + 1;
  }
  return strata.map((each, i) => ({ stratum: each.stratum, count: counts[i] ?? 0 }));
}

/** Scales positive claims, each bounded by what is left, until they add up to `wanted`. */
function fit(raw: number[], left: number[], wanted: number): number[] {
  const claims = raw.map((claim, i) => Math.min(left[i] ?? 0, Math.max(0, claim)));
  // Each round fixes the overshoot or fills at least one stratum up, so as many rounds as strata suffice.
  for (let round = 0; round <= claims.length; round++) {
    const missing = wanted - sum(claims);
    if (Math.abs(missing) < 1e-9) break;
    const room = claims.map((claim, i) => (missing > 0 ? (left[i] ?? 0) - claim : claim));
    const total = sum(room);
    if (total <= 0) break;
    claims.forEach((claim, i) => (claims[i] = claim + ((room[i] ?? 0) / total) * missing));
  }
  return claims;
}

function byRemainder(strata: readonly Stratum[], claims: number[]): number[] {
  const remainder = (i: number) => {
    const claim = claims[i] ?? 0;
    return claim - Math.floor(claim + 1e-9);
  };
  const name = (i: number) => strata[i]?.stratum ?? '';
  const order = strata
    .map((_, i) => i)
    .sort((a, b) => {
      const difference = remainder(b) - remainder(a);
      if (Math.abs(difference) > 1e-9) return difference;
      return name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0;
    });
  // Twice: rounding may leave more than one for a stratum that has room.
  return [...order, ...order];
}

function sizeOf(each: Stratum): number {
  return each.size;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
