/**
 * Who runs the logs and the timestamp authorities of a trusted root. Two of one operator vouch no more than one of them: the root's `operator`
 * says who it is (sigstore_trustroot.proto, "should count as only one valid proof"). Where a root does not say, a log is known by its URL, and an
 * authority by the root above the certificate that stamped: one that renews its certificate, or has several, is one still.
 */
import { createHash } from 'node:crypto';
import type { TrustedRoot } from '@sigstore/protobuf-specs';
import type { SignedEntity, TrustMaterial } from '@sigstore/verify';

export type Stamp = SignedEntity['timestamps'][number];

export interface Witnesses {
  log: (keyId: Buffer) => string;
  clock: (stamp: Stamp) => string;
}

/** @param material what @sigstore/verify made of the root, in the same order. */
export function witnessesOf(root: TrustedRoot, material: TrustMaterial): Witnesses {
  const log = (keyId: Buffer) => {
    const known = root.tlogs.find(({ logId }) => logId?.keyId.equals(keyId) === true);
    return known?.operator || known?.baseUrl || keyId.toString('hex');
  };
  return {
    log,
    clock: (stamp) =>
      stamp.$case === 'transparency-log'
        ? `log ${log(stamp.tlogEntry.logId.keyId)}`
        : `authority ${authorityOf(root, material, stamp.timestamp)}`,
  };
}

type Timestamp = Extract<Stamp, { $case: 'timestamp-authority' }>['timestamp'];

/** @sigstore/verify takes no certificate but the first of an authority's chain. */
function authorityOf(root: TrustedRoot, { timestampAuthorities }: TrustMaterial, stamp: Timestamp): string {
  const { signerIssuer, signerSerialNumber } = stamp;
  const at = timestampAuthorities.findIndex(
    ({ certChain: [leaf] }) =>
      leaf?.issuer.equals(signerIssuer) === true && leaf.serialNumber.equals(signerSerialNumber),
  );
  const top = timestampAuthorities[at]?.certChain.at(-1)?.publicKey ?? signerIssuer;
  return root.timestampAuthorities[at]?.operator || createHash('sha256').update(top).digest('hex');
}
