/** The root of a Merkle tree from a leaf and its proof of inclusion. RFC 9162 2.1.3.2 */
import { createHash } from 'node:crypto';

/** @returns undefined when the proof cannot be one of this place in a tree of this size. */
export function merkleRoot(
  body: Uint8Array,
  proof: { logIndex: bigint; treeSize: bigint; hashes: readonly Uint8Array[] },
): Buffer | undefined {
  let at = proof.logIndex;
  let last = proof.treeSize - 1n;
  if (at < 0n || at > last) return undefined;
  let root = hash(0, body);
  for (const sibling of proof.hashes) {
    if (last === 0n) return undefined;
    if ((at & 1n) === 1n || at === last) {
      root = hash(1, sibling, root);
      while ((at & 1n) === 0n && at !== 0n) {
        at >>= 1n;
        last >>= 1n;
      }
    } else {
      root = hash(1, root, sibling);
    }
    at >>= 1n;
    last >>= 1n;
  }
  return last === 0n ? root : undefined;
}

function hash(prefix: 0 | 1, ...parts: Uint8Array[]): Buffer {
  const hasher = createHash('sha256').update(Buffer.from([prefix]));
  for (const part of parts) hasher.update(part);
  return hasher.digest();
}
