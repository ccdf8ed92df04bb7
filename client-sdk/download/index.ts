/** Fetches one image: resumable, bounded, digest-checked, never slower than a minimum rate, in memory of O(chunk). */
import type { Clock } from '../protocol/clock.ts';
import type { Files } from '../trust/files.ts';

export interface DownloadResponse {
  status: number;
  /** Lower-case names. */
  headers: Record<string, string | undefined>;
  body: AsyncIterable<Uint8Array>;
}
/** `range.ifRange` is the ETag of the bytes that are already there. */
export type DownloadFetch = (
  path: string,
  options: { range: { from: number; ifRange?: string } | undefined; signal: AbortSignal },
) => Promise<DownloadResponse>;

export interface DownloadOptions {
  /** Tried in turn. */
  paths: string[];
  sha256: string;
  /** Bytes. */
  length: number;
  files: Files;
  /** Where the image goes, in `files`. Its checkpoint lies beside it as `<file>.part.json` until the image is whole. */
  file: string;
  fetch: DownloadFetch;
  /** The wall's clock. */
  clock: Clock;
  /** Bytes per second, averaged over `rateWindow`. */
  minimumRate: number;
  /** Milliseconds; 30 000 unless told. */
  rateWindow?: number;
  signal?: AbortSignal;
  progress?: (done: number, total: number) => void;
}
/** Resolves when `file` holds exactly the signed bytes, and they are on the medium. */
export declare function downloadImage(options: DownloadOptions): Promise<void>;
