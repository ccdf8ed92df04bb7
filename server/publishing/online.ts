/** What the service signs itself: which versions are current. TUF 4.4 and 4.6 */
import { canonicalBytes } from '@tidegate/client-sdk/trust';
import {
  bump,
  encode,
  type MetaFile,
  type Metadata,
  newSnapshot,
  newTimestamp,
  type Signed,
  type Snapshot,
} from '@tidegate/signer/repository';
import type { Signer } from '@tidegate/signer/keys';

export interface OnlineDocument {
  version: number;
  bytes: Buffer;
  /** Milliseconds since the epoch. */
  expires: number;
}

/**
 * Above the last, and above what a service that was restored from a backup had signed before. Design §6
 * @param now milliseconds since the epoch, here and below.
 * @param reported what chargers trust, where that is believed to be higher.
 */
export function nextOnlineVersion(last: number, now: number, reported = 0): number {
  return Math.max(last + 1, reported + 1, Math.floor(now / 1000));
}

export function makeSnapshot(
  contents: { targets: Buffer; products: ReadonlyMap<string, Buffer | MetaFile> },
  version: number,
  signer: Signer,
  now: number,
): Promise<OnlineDocument> {
  return signOnline(newSnapshot(contents, version, now), signer);
}

/** The same content under a new version and expiry. */
export function renewSnapshot(
  snapshot: Buffer,
  version: number,
  signer: Signer,
  now: number,
): Promise<OnlineDocument> {
  const before = JSON.parse(snapshot.toString('utf8')) as Metadata<Snapshot>;
  return signOnline(bump(before, 'snapshot', now, version), signer);
}

export function makeTimestamp(
  snapshot: Uint8Array,
  version: number,
  signer: Signer,
  now: number,
): Promise<OnlineDocument> {
  return signOnline(newTimestamp(snapshot, version, now), signer);
}

async function signOnline({ signed }: Metadata<Signed>, signer: Signer): Promise<OnlineDocument> {
  const sig = Buffer.from(await signer.sign(canonicalBytes(signed))).toString('hex');
  return {
    version: signed.version,
    bytes: encode({ signed, signatures: [{ keyid: signer.keyId, sig }] }),
    expires: Date.parse(signed.expires),
  };
}
