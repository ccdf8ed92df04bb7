import type { Fallback } from '@tidegate/client-sdk/protocol';

/** A published release, as far as choosing a way down needs it. */
export interface PublishedImage {
  path: string;
  sha256: string;
  /** Bytes. */
  length: number;
  version: string;
  securityVersion: number;
  hardware: readonly string[];
  /** Yanked, or refused by the published policy. */
  barred: boolean;
}

/**
 * The way down for one charger: a signed, unexpired entry of the release's fallback list that names a published release which
 * fits the hardware and is not barred. What the charger ran before comes first, then the order that the release engineers signed.
 * A lower security version is taken only where the entry says `auto` (design §5). The charger checks all of it again.
 */
export function chooseFallback(input: {
  fallback: readonly Fallback[];
  published: readonly PublishedImage[];
  /** Of the release to leave. */
  securityVersion: number;
  charger: { before: string | null; hardware: string };
  now: number;
}): PublishedImage | undefined {
  const open = input.fallback.filter((entry) => Date.parse(entry.expires) > input.now);
  const ways = open.flatMap((entry) => {
    const image = input.published.find(
      (candidate) => candidate.path === entry.path && candidate.sha256 === entry.sha256,
    );
    if (image === undefined || image.barred) return [];
    if (!image.hardware.includes(input.charger.hardware)) return [];
    if (image.securityVersion < input.securityVersion && !entry.auto) return [];
    return [image];
  });
  return ways.find((image) => image.sha256 === input.charger.before) ?? ways[0];
}
