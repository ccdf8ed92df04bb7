/** Which version a document may have. A name in the store is written once, and what a publication left there when it was cut off stays. */
import { refusing } from '@tidegate/client-sdk/protocol';
import { canonicalBytes } from '@tidegate/client-sdk/trust';
import { metadataKey } from '@tidegate/signer/repository';
import { ApiError } from '../http/index.ts';
import { findBlob } from './current.ts';
import type { PublishingDeps } from './types.ts';

type Blobs = Pick<PublishingDeps, 'blobs'>;

interface Signed {
  role: string;
  pointer: string;
  bytes: Buffer;
  /** The published version; 0 for none. */
  last: number;
}

/** Names that earlier publications may have left behind in a row, one for each that was cut off. */
const MOST_TAKEN = 32;

/**
 * The document as it is to be published: exactly one version above the last, not counting versions whose names the store holds already
 * with something else.
 * @returns the bytes that lie there already where only the signatures differ: the name cannot have others any more.
 * @throws ApiError `ROLE_VERSION`; Refusal `METADATA_MALFORMED`
 */
export async function nextDocument(
  { blobs }: Blobs,
  { role, pointer, bytes, last }: Signed,
): Promise<{ version: number; bytes: Buffer }> {
  const { version } = peek(bytes);
  if (version <= last || version > last + MOST_TAKEN) throw wrongVersion(pointer, version, last);
  for (let skipped = last + 1; skipped < version; skipped++) {
    if ((await blobs.stat(metadataKey(role, skipped))) === undefined)
      throw wrongVersion(pointer, version, last);
  }
  const there = await findBlob(blobs, metadataKey(role, version));
  if (there === undefined || there.equals(bytes)) return { version, bytes };
  if (canonicalBytes(peek(there)).equals(canonicalBytes(peek(bytes)))) return { version, bytes: there };
  throw new ApiError(
    'ROLE_VERSION',
    `Version ${version} lies in the store with other content, from a publication that was cut off. Publish that one (metadata/${version}.${role}.json), or sign a version above it.`,
    { pointer },
  );
}

/** The first version from this one on whose name is free. */
export async function freeVersion({ blobs }: Blobs, role: string, from: number): Promise<number> {
  let version = from;
  while ((await blobs.stat(metadataKey(role, version))) !== undefined) version++;
  return version;
}

function wrongVersion(pointer: string, version: number, last: number): ApiError {
  return new ApiError('ROLE_VERSION', `Version ${version} after ${last}.`, { pointer });
}

/** Reads what is signed before anything is verified, only to compare it. */
function peek(bytes: Buffer): { version: number } {
  return refusing('METADATA_MALFORMED', 'No version', () => {
    const { signed } = JSON.parse(bytes.toString('utf8')) as { signed: { version: number } };
    if (!Number.isSafeInteger(signed.version)) throw new TypeError('version');
    return signed;
  });
}
