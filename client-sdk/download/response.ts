/** What an answer to a (range) request means for the bytes that are there. RFC 9110 14.4, 15.3.7 */
import { Refusal } from '../protocol/index.ts';
import { STRONG_ETAG } from './checkpoint.ts';

export interface DownloadResponse {
  status: number;
  /** Lower-case names. */
  headers: Readonly<Record<string, string | undefined>>;
  body: AsyncIterable<Uint8Array>;
}

/**
 * @param from bytes that are already there.
 * @param length of the whole image, as signed.
 * @returns `append` when the body goes on where the file ends, `restart` when it is the image from its beginning.
 * @throws Refusal DOWNLOAD_FAILED, IMAGE_LENGTH
 */
export function meaningOf(response: DownloadResponse, from: number, length: number): 'append' | 'restart' {
  const { status, headers } = response;
  if (status !== 200 && status !== 206) throw new Refusal('DOWNLOAD_FAILED', `status ${status}`);
  // A compressed body would have other lengths than the signed ones, and could be a bomb.
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Refusal('DOWNLOAD_FAILED', 'the body is encoded');
  }
  if (status === 200) {
    refuseOtherLength(headers['content-length'], length);
    return 'restart';
  }
  if (headers['content-range'] !== `bytes ${from}-${length - 1}/${length}`) {
    throw new Refusal('DOWNLOAD_FAILED', 'another range than asked for');
  }
  return 'append';
}

export function etagOf({ headers }: DownloadResponse): string | undefined {
  const etag = headers['etag'];
  return etag !== undefined && STRONG_ETAG.test(etag) ? etag : undefined;
}

function refuseOtherLength(header: string | undefined, length: number): void {
  if (header === undefined || Number(header) === length) return;
  throw new Refusal('IMAGE_LENGTH', `the service offers ${header.slice(0, 20)} of ${length} bytes`);
}
