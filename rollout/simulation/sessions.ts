import { uniform } from './hash.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Charging sessions are laid out in blocks of two hours, at most one each, so that whether one is active at a time costs one look. */
const BLOCK = 120 * MINUTE;

export interface Session {
  /** Number of its block since the epoch. */
  index: number;
  from: number;
  to: number;
}

/** Chance of a session per block, by hour of the day (UTC) in the block's beginning. */
const BUSY: Record<string, (hour: number) => number> = {
  workplace: (hour) => (hour >= 6 && hour < 18 ? 0.7 : 0.05),
  retail: (hour) => (hour >= 8 && hour < 20 ? 0.6 : 0.1),
  depot: (hour) => (hour >= 18 || hour < 6 ? 0.7 : 0.2),
  highway: (hour) => (hour >= 6 && hour < 22 ? 0.8 : 0.4),
};

/** The session of one block, or null. It ends a quarter of an hour before the block does at the latest. */
function sessionIn(key: number, siteType: string, index: number): Session | null {
  const start = index * BLOCK;
  const hour = Math.floor(start / HOUR) % 24;
  const busy = (BUSY[siteType] ?? BUSY['retail'])?.(hour) ?? 0;
  if (uniform(key, index * 8) >= busy) return null;
  const from = start + Math.floor(uniform(key, index * 8 + 1) * 45) * MINUTE;
  const to = from + (15 + Math.floor(uniform(key, index * 8 + 2) * 45)) * MINUTE;
  return { index, from, to };
}

export function sessionAt(key: number, siteType: string, at: number): Session | null {
  const session = sessionIn(key, siteType, Math.floor(at / BLOCK));
  return session !== null && at >= session.from && at < session.to ? session : null;
}

/** Sessions of the blocks that overlap [from, to). */
export function sessionsIn(key: number, siteType: string, from: number, to: number): Session[] {
  const found: Session[] = [];
  for (let index = Math.floor(from / BLOCK); index * BLOCK < to; index++) {
    const session = sessionIn(key, siteType, index);
    if (session !== null) found.push(session);
  }
  return found;
}
