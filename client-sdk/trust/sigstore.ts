/**
 * Sigstore bundles, verified offline with @sigstore/verify, and what it leaves open closed: https://docs.sigstore.dev/about/bundle/
 * Who may sign, and what a signature must be about, is for the caller to say: the charger's answer is in `bundle.ts`.
 */
import {
  BUNDLE_V01_MEDIA_TYPE,
  BUNDLE_V02_MEDIA_TYPE,
  BUNDLE_V03_LEGACY_MEDIA_TYPE,
  BUNDLE_V03_MEDIA_TYPE,
  bundleFromJSON,
  type Bundle,
  type TransparencyLogEntry,
} from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toTrustMaterial, VerificationError, Verifier } from '@sigstore/verify';
import type { KeyFinderFunc, SignedEntity, TrustMaterial } from '@sigstore/verify';
import { refusing, Refusal } from '../protocol/index.ts';
import { parseJson } from './shape.ts';
import { type Stamp, type Witnesses, witnessesOf } from './witnesses.ts';

/** Longest files that are read, in bytes. */
export const MAX_BUNDLE_BYTES = 256 * 1024;
export const MAX_SIGSTORE_ROOT_BYTES = 512 * 1024;
const MAX_EVIDENCE = 16;

/** Every format there is, oldest first. */
export const BUNDLE_MEDIA_TYPES: readonly string[] = [
  BUNDLE_V01_MEDIA_TYPE,
  BUNDLE_V02_MEDIA_TYPE,
  BUNDLE_V03_LEGACY_MEDIA_TYPE,
  BUNDLE_V03_MEDIA_TYPE,
];

/** Who signed, as far as it is proven. */
export type SigstoreSigner =
  { kind: 'key'; hint: string } | { kind: 'identity'; issuer: string; san: string };

/** How much has to vouch for a signature. */
export interface Evidence {
  /** Transparency logs of distinct operators. */
  logs: number;
  /** Clocks of distinct operators: timestamp authorities, and logs that promised inclusion. */
  timestamps: number;
  /** Signed certificate timestamps in the certificate. */
  ctlogs: number;
}

/**
 * @param limit longest bundle that is read, in bytes.
 * @throws Refusal BUNDLE_INVALID
 */
export function readBundle(
  bytes: Uint8Array,
  mediaTypes: readonly string[] = BUNDLE_MEDIA_TYPES,
  limit = MAX_BUNDLE_BYTES,
): Bundle {
  return refusing('BUNDLE_INVALID', 'not a Sigstore bundle', () => {
    const bundle = bundleFromJSON(parseJson(bytes, limit));
    // The library takes any version of one digit, and holds an unknown one to the newest format's rules.
    if (!mediaTypes.includes(bundle.mediaType)) throw new TypeError(`media type ${bundle.mediaType}`);
    const { tlogEntries, timestampVerificationData } = bundle.verificationMaterial;
    const stamps = timestampVerificationData?.rfc3161Timestamps.length ?? 0;
    if (tlogEntries.length > MAX_EVIDENCE || stamps > MAX_EVIDENCE) {
      throw new TypeError('more evidence than is read');
    }
    return bundle;
  });
}

/** What a trusted root says, and who runs what it lists. */
export interface Trust extends TrustMaterial {
  witnesses: Witnesses;
}

/**
 * @param keyOf the key of a bundle's hint.
 * @throws Refusal POLICY_MALFORMED
 */
export function trustMaterial(trustedRoot: Uint8Array, keyOf: KeyFinderFunc): Trust {
  return refusing('POLICY_MALFORMED', 'the Sigstore trusted root', () => {
    const value = parseJson(trustedRoot, MAX_SIGSTORE_ROOT_BYTES);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('no object');
    const root = TrustedRoot.fromJSON(value);
    for (const { baseUrl, publicKey } of [...root.tlogs, ...root.ctlogs]) {
      // The library takes a missing start for the beginning of time. (An authority is bounded by its certificates as well.)
      if (publicKey?.validFor?.start === undefined) throw new TypeError(`${baseUrl}: no validFor.start`);
    }
    const material = toTrustMaterial(root, keyOf);
    return { ...material, witnesses: witnessesOf(root, material) };
  });
}

/**
 * Verifies signature, signer, logs and times. Each entry and each time that is there must verify, also beyond what is needed.
 * @throws Refusal BUNDLE_INVALID, EVIDENCE_MISSING
 */
export function verifyEntity(entity: SignedEntity, trust: Trust, needed: Evidence): SigstoreSigner {
  if (entity.tlogEntries.length < needed.logs || trustedTimes(entity).length < needed.timestamps) {
    throw new Refusal('EVIDENCE_MISSING', `${entity.tlogEntries.length} log entries`);
  }
  const signer = refusing('BUNDLE_INVALID', 'the signature or its evidence does not verify', () => {
    const verifier = new Verifier(trust, {
      tlogThreshold: needed.logs,
      timestampThreshold: needed.timestamps,
      ctlogThreshold: needed.ctlogs,
    });
    const signer = signerOf(entity, verified(verifier, entity));
    entity.tlogEntries.forEach(refuseOtherTree);
    return signer;
  });
  refuseTooLittleEvidence(entity, trust.witnesses, needed);
  return signer;
}

/** The library's own words, which say which of the many checks it was: without them nobody finds a wrong trusted root. */
function verified(verifier: Verifier, entity: SignedEntity): ReturnType<Verifier['verify']> {
  try {
    return verifier.verify(entity);
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    // They repeat parts of the bundle.
    const why = error.message.slice(0, 200).replaceAll(/[^\x20-\x7e]/g, '?');
    throw new Refusal('BUNDLE_INVALID', `the bundle does not verify, ${why}`, { cause: error });
  }
}

function signerOf({ key }: SignedEntity, { identity }: ReturnType<Verifier['verify']>): SigstoreSigner {
  if (key.$case === 'public-key') return { kind: 'key', hint: key.hint };
  const issuer = identity?.extensions?.issuer;
  const san = identity?.subjectAlternativeName;
  if (issuer === undefined || san === undefined) throw new TypeError('the certificate names nobody');
  return { kind: 'identity', issuer, san };
}

/** @sigstore/verify reads the tree from the signed checkpoint, and lets the proof beside it say anything. */
function refuseOtherTree({ inclusionProof: proof }: TransparencyLogEntry): void {
  if (proof === undefined) return;
  const [, size, root] = proof.checkpoint?.envelope.split('\n') ?? [];
  if (proof.treeSize !== size || proof.rootHash.toString('base64') !== root) {
    throw new TypeError('the proof is of another tree than its checkpoint');
  }
}

/** @sigstore/verify counts two entries of one log as two. */
function refuseTooLittleEvidence(entity: SignedEntity, { log, clock }: Witnesses, needed: Evidence): void {
  const logs = new Set(entity.tlogEntries.map(({ logId }) => log(logId.keyId)));
  const clocks = new Set(countedTimestamps(entity).map(({ stamp }) => clock(stamp)));
  if (logs.size < needed.logs) throw new Refusal('EVIDENCE_MISSING', `${logs.size} distinct logs`);
  if (clocks.size < needed.timestamps)
    throw new Refusal('EVIDENCE_MISSING', `${clocks.size} distinct clocks`);
}

/** In milliseconds; proven only after `verifyEntity`. */
export function trustedTimes(entity: SignedEntity): number[] {
  return countedTimestamps(entity).map(({ time }) => time);
}

interface Counted {
  time: number;
  stamp: Stamp;
}

/** Timestamps that @sigstore/verify verifies: of an authority, or of a log that promised inclusion. */
function countedTimestamps(entity: SignedEntity): Counted[] {
  return entity.timestamps.flatMap((stamp): Counted[] => {
    if (stamp.$case === 'transparency-log') {
      const { inclusionPromise, integratedTime } = stamp.tlogEntry;
      return inclusionPromise === undefined ? [] : [{ time: Number(integratedTime) * 1000, stamp }];
    }
    return refusing('BUNDLE_INVALID', 'timestamp', () => [
      { time: stamp.timestamp.signingTime.getTime(), stamp },
    ]);
  });
}
