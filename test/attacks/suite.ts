/** Every attack, in chapters. */
import type { Attack } from './attack.ts';
import { BUILDERS } from './builders.ts';
import { CHARGER } from './charger-side.ts';
import { DIRECTIVES } from './directives.ts';
import { LINE } from './line-attacks.ts';
import { METADATA } from './metadata.ts';
import { RELEASES } from './releases.ts';
import { MIRRORS } from './mirrors.ts';
import { THEFTS } from './thefts.ts';
import { TLS } from './tls-attacks.ts';

export const CHAPTERS: { title: string; attacks: Attack[] }[] = [
  { title: 'Metadata', attacks: METADATA },
  { title: 'Stolen keys', attacks: THEFTS },
  { title: 'Releases', attacks: RELEASES },
  { title: 'Builders', attacks: BUILDERS },
  { title: 'Directives', attacks: DIRECTIVES },
  { title: 'The line', attacks: LINE },
  { title: 'Mirrors', attacks: MIRRORS },
  { title: 'TLS', attacks: TLS },
  { title: 'The charger itself', attacks: CHARGER },
];

/** Plays at one time: most of a play is waiting for the disk and for loopback. */
const AT_ONCE = 8;

/** Tries them all, a few at a time; `tell` hears of each in the order in which they end. */
export async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const i = next++;
      const item = items[i];
      if (item !== undefined) results[i] = await work(item);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}
