/** Whom and what a publication would strand, as it is told to people. */
import { ApiError, type FieldProblem } from '../http/index.ts';
import type { Loss, LostRelease } from './strand-rule.ts';

/** Chargers that are in the same situation. */
export interface StrandedChargers {
  loss: Loss;
  product: string;
  hardware: string;
  /** The path is null where no release of this digest was ever published. */
  runs: { version: string | null; sha256: string | null; path: string | null };
  /** With `NO_WAY_ON`: the code with which the image that they run is refused from now on. */
  because: string | null;
  /** Paths of the signed fallbacks that do not help them any more. */
  fallbacks: string[];
  total: number;
  /** The first few, in order; `GET /fleet` with product, hardware, running and state gives them all. */
  serials: string[];
}

export interface StrandedRelease {
  product: string;
  path: string;
  version: string;
  neededBy: LostRelease['neededBy'];
  /** The code with which chargers refuse it from now on. */
  because: string | null;
}

export interface Stranded {
  chargers: StrandedChargers[];
  releases: StrandedRelease[];
}

export const NOBODY: Stranded = { chargers: [], releases: [] };

/** Longest list in a problem. */
const SHOWN = 100;

/**
 * @param accepted paths of images, or products, whose loss somebody takes upon themselves: the image that chargers run, or a fallback of it.
 * @throws ApiError `WOULD_STRAND`
 */
export function refuseStranding(stranded: Stranded, accepted: readonly string[]): void {
  const taken = new Set(accepted);
  const chargers = stranded.chargers.filter(
    ({ product, runs, fallbacks, loss }) =>
      !taken.has(product) &&
      !(runs.path !== null && taken.has(runs.path)) &&
      !(loss === 'NO_WAY_BACK' && fallbacks.some((path) => taken.has(path))),
  );
  const releases = stranded.releases.filter(
    ({ product, path, neededBy }) =>
      !taken.has(product) && !taken.has(path) && !(neededBy.kind === 'FALLBACK' && taken.has(neededBy.path)),
  );
  if (chargers.length === 0 && releases.length === 0) return;
  const total = chargers.reduce((sum, kind) => sum + kind.total, 0);
  const problems: FieldProblem[] = [
    ...chargers.map((kind) => ({ pointer: '', code: kind.loss as string, detail: chargersWords(kind) })),
    ...releases.map((one) => ({ pointer: '', code: `${one.neededBy.kind}_LOST`, detail: releaseWords(one) })),
  ];
  throw new ApiError('WOULD_STRAND', `${total} chargers and ${releases.length} planned releases.`, {
    problems: problems.slice(0, SHOWN),
    members: { stranded: { total, chargers: chargers.slice(0, SHOWN), releases: releases.slice(0, SHOWN) } },
  });
}

const LOSSES: Record<Loss, string> = {
  PRODUCT_REMOVED: 'whose product goes',
  NO_WAY_ON: 'which nothing could be installed on any more',
  NO_WAY_BACK: 'which could not fall back any more',
};

function chargersWords({ loss, product, hardware, runs, because, total, serials }: StrandedChargers): string {
  const image = runs.path ?? `${product} ${runs.version ?? 'without a report'}`;
  const refused = because === null ? '' : ` (${because})`;
  const more = total > serials.length ? ` and ${total - serials.length} more (all of them with --json)` : '';
  return `${image}${refused}: ${total} × ${hardware}, ${LOSSES[loss]}: ${serials.join(', ')}${more}`;
}

function releaseWords({ path, neededBy, because }: StrandedRelease): string {
  const why =
    neededBy.kind === 'ROLLOUT'
      ? `rollout ${neededBy.rollout} brings it`
      : `${neededBy.path} falls back to it`;
  return `${path} (${because ?? 'refused'}): ${why}`;
}
