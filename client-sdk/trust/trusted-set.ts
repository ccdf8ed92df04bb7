/**
 * The TUF client workflow as pure code, in the manner of python-tuf's trusted_metadata_set: bytes and the time go in, and what is
 * verified stays. A refused file leaves the set as it was. Clauses are those of TUF 1.0.34.
 */
import { createHash } from 'node:crypto';
import { Refusal, type ReleaseTarget } from '../protocol/index.ts';
import { parseCustom } from './custom.ts';
import { delegationOf, refuseFurtherDelegation, targetOf, topTargetOf } from './delegation.ts';
import { TIDEGATE, type Dialect } from './dialect.ts';
import { verifyThreshold, type RoleKeys, type SignedEnvelope, type TufKey } from './keys.ts';
import { keysChanged, markOf, refuseBelowMark, type Mark, type Marks } from './marks.ts';
import {
  parseRoot,
  parseSnapshot,
  parseTargets,
  parseTimestamp,
  type RootMetadata,
  type SnapshotMetadata,
  type TargetsMetadata,
  type TimestampMetadata,
} from './metadata.ts';
import type { DelegatedRole, FileMeta } from './role-parts.ts';

export class TrustedSet {
  readonly #marks: Marks;
  readonly #dialect: Dialect;
  #root: RootMetadata;
  #timestamp: TimestampMetadata | undefined;
  #snapshot: SnapshotMetadata | undefined;
  #targets: TargetsMetadata | undefined;
  readonly #products = new Map<string, TargetsMetadata>();
  /** What was trusted in an earlier run. It proves that something newer existed, whether or not it has expired since. */
  #earlierTimestamp: TimestampMetadata | undefined;
  #earlierSnapshot: SnapshotMetadata | undefined;

  private constructor(root: RootMetadata, marks: Marks, dialect: Dialect) {
    this.#root = root;
    this.#marks = marks;
    this.#dialect = dialect;
  }

  /**
   * @param rootBytes the provisioned root; it may have expired. TUF 5.2
   * @param marks high-water marks of earlier runs.
   * @param dialect how much of the specification the repository may use.
   * @throws Refusal METADATA_MALFORMED, METADATA_TOO_LARGE, METADATA_UNSIGNED
   */
  static start(rootBytes: Uint8Array, marks: Marks = {}, dialect: Dialect = TIDEGATE): TrustedSet {
    const { envelope, signed } = parseRoot(rootBytes, dialect);
    verifyRole(dialect, envelope, signed.keys, signed.roles.root);
    return new TrustedSet(signed, marks, dialect);
  }

  /** @throws Refusal as `start`, and ROOT_VERSION */
  updateRoot(bytes: Uint8Array): RootMetadata {
    if (this.#timestamp !== undefined) throw new TypeError('the root comes before the timestamp');
    const { envelope, signed } = parseRoot(bytes, this.#dialect);
    // TUF 5.3.4: signed by the old quorum and by the new
    verifyRole(this.#dialect, envelope, this.#root.keys, this.#root.roles.root);
    verifyRole(this.#dialect, envelope, signed.keys, signed.roles.root);
    // TUF 5.3.5: exactly one above
    if (signed.version !== this.#root.version + 1) {
      throw new Refusal('ROOT_VERSION', `root ${signed.version} after ${this.#root.version}`);
    }
    this.#root = signed;
    return signed;
  }

  /**
   * Takes the timestamp of an earlier run, for comparison only. TUF 5.3.11: not when the role has other keys since.
   * @throws Refusal when it is not one that this root trusts.
   */
  recallTimestamp(bytes: Uint8Array): void {
    const { envelope, signed } = parseTimestamp(bytes, this.#dialect);
    verifyRole(this.#dialect, envelope, this.#root.keys, this.#root.roles.timestamp);
    if (!this.#rotated()) this.#earlierTimestamp = signed;
  }

  /** As `recallTimestamp`. */
  recallSnapshot(bytes: Uint8Array): void {
    const { envelope, signed } = parseSnapshot(bytes, this.#dialect);
    verifyRole(this.#dialect, envelope, this.#root.keys, this.#root.roles.snapshot);
    if (!this.#rotated()) this.#earlierSnapshot = signed;
  }

  /** @throws Refusal METADATA_* */
  updateTimestamp(bytes: Uint8Array, now: number): TimestampMetadata {
    // A root that somebody withholds newer versions of. The chain is unbroken, so its mark holds whatever its keys are.
    if (this.#root.version < (this.#mark('root')?.version ?? 0)) {
      throw new Refusal('METADATA_ROLLBACK', `root ${this.#root.version} is below its mark`);
    }
    refuseExpired('root', this.#root.expires, now); // TUF 5.3.10
    const parsed = parseTimestamp(bytes, this.#dialect);
    verifyRole(this.#dialect, parsed.envelope, this.#root.keys, this.#root.roles.timestamp); // TUF 5.4.2
    const signed = this.#newestTimestamp(parsed.signed);
    refuseExpired('timestamp', signed.expires, now); // TUF 5.4.4
    this.#timestamp = signed;
    this.#snapshot = undefined;
    this.#targets = undefined;
    this.#products.clear();
    return signed;
  }

  /** @throws Refusal METADATA_* */
  updateSnapshot(bytes: Uint8Array, now: number): SnapshotMetadata {
    const meta = this.timestamp.snapshot;
    refuseOtherBytes('snapshot', bytes, meta); // TUF 5.5.2
    const { envelope, signed } = parseSnapshot(bytes, this.#dialect);
    verifyRole(this.#dialect, envelope, this.#root.keys, this.#root.roles.snapshot); // TUF 5.5.3
    refuseOtherVersion('snapshot', signed.version, meta); // TUF 5.5.4
    this.#refuseFallenVersions(signed); // TUF 5.5.5
    refuseExpired('snapshot', signed.expires, now); // TUF 5.5.6
    this.#snapshot = signed;
    return signed;
  }

  /** Top-level targets. @throws Refusal METADATA_* */
  updateTargets(bytes: Uint8Array, now: number): TargetsMetadata {
    const signed = this.#verifyTargets('targets', bytes, this.#root.keys, this.#root.roles.targets, now);
    this.#targets = signed;
    return signed;
  }

  /** The product's own role, and no other. @throws Refusal METADATA_*, DELEGATION_INVALID */
  updateProductRole(product: string, bytes: Uint8Array, now: number): TargetsMetadata {
    const signed = this.verifyDelegated(this.targets, delegationOf(this.targets, product), bytes, now);
    refuseFurtherDelegation(signed, product);
    this.#products.set(product, signed);
    return signed;
  }

  /**
   * A targets role, as `delegator` hands it on. Nothing is kept: another delegator may give the same name to other keys. TUF 5.6.7
   * @throws Refusal METADATA_*
   */
  verifyDelegated(
    delegator: TargetsMetadata,
    role: DelegatedRole,
    bytes: Uint8Array,
    now: number,
  ): TargetsMetadata {
    const keys = delegator.delegations?.keys ?? new Map<string, TufKey>();
    return this.#verifyTargets(role.name, bytes, keys, role, now);
  }

  get root(): RootMetadata {
    return this.#root;
  }
  get timestamp(): TimestampMetadata {
    return loaded('timestamp', this.#timestamp);
  }
  get snapshot(): SnapshotMetadata {
    return loaded('snapshot', this.#snapshot);
  }
  get targets(): TargetsMetadata {
    return loaded('targets', this.#targets);
  }
  productRole(product: string): TargetsMetadata {
    return loaded(product, this.#products.get(product));
  }

  /** Whether the product's role is verified. */
  has(product: string): boolean {
    return this.#products.has(product);
  }
  /** The timestamp of the earlier run is still the one in force. */
  get keptEarlierTimestamp(): boolean {
    return this.#timestamp !== undefined && this.#timestamp === this.#earlierTimestamp;
  }

  /** @throws Refusal TARGET_UNKNOWN, TARGET_MALFORMED */
  productTarget(product: string, path: string): ReleaseTarget {
    const { sha256, length, custom } = targetOf(this.productRole(product), product, path);
    return { path, sha256, length, custom: parseCustom(custom) };
  }

  /** @throws Refusal TARGET_UNKNOWN */
  topTarget(path: string): { sha256: string; length: number } {
    const { sha256, length } = topTargetOf(this.targets, path);
    return { sha256, length };
  }

  /** For a set that was verified earlier and is used again. @throws Refusal METADATA_EXPIRED */
  refuseExpired(now: number): void {
    refuseExpired('root', this.#root.expires, now);
    refuseExpired('timestamp', this.timestamp.expires, now);
    refuseExpired('snapshot', this.snapshot.expires, now);
    refuseExpired('targets', this.targets.expires, now);
    for (const [product, role] of this.#products) refuseExpired(product, role.expires, now);
  }

  /** The marks after what is verified so far. Those of roles not seen in this run stay. */
  marks(): Marks {
    const marks: Marks = { ...this.#marks };
    const { roles } = this.#root;
    marks['root'] = markOf(this.#root.version, roles.root);
    if (this.#timestamp) marks['timestamp'] = markOf(this.#timestamp.version, roles.timestamp);
    if (this.#snapshot) marks['snapshot'] = markOf(this.#snapshot.version, roles.snapshot);
    if (this.#targets) marks['targets'] = markOf(this.#targets.version, roles.targets);
    for (const [product, role] of this.#products) {
      marks[product] = markOf(role.version, delegationOf(this.targets, product));
    }
    return marks;
  }

  #mark(name: string): Mark | undefined {
    return Object.hasOwn(this.#marks, name) ? this.#marks[name] : undefined;
  }

  /** TUF 5.3.11: the timestamp or snapshot role has other keys than in the earlier run. */
  #rotated(): boolean {
    const { timestamp, snapshot } = this.#root.roles;
    return keysChanged(this.#marks, 'timestamp', timestamp) || keysChanged(this.#marks, 'snapshot', snapshot);
  }

  #newestTimestamp(offered: TimestampMetadata): TimestampMetadata {
    const { roles } = this.#root;
    const earlier = this.#earlierTimestamp;
    // TUF 5.4.3.1
    if (earlier !== undefined && offered.version < earlier.version) {
      throw new Refusal('METADATA_ROLLBACK', `timestamp ${offered.version} after ${earlier.version}`);
    }
    refuseBelowMark(this.#marks, 'timestamp', offered.version, roles.timestamp);
    // TUF 5.4.3.2
    if (earlier !== undefined && offered.snapshot.version < earlier.snapshot.version) {
      throw new Refusal('METADATA_ROLLBACK', `snapshot ${offered.snapshot.version} in the timestamp`);
    }
    refuseBelowMark(this.#marks, 'snapshot', offered.snapshot.version, roles.snapshot);
    // TUF 5.4.3.1: at the same version the one already trusted stays
    return earlier?.version === offered.version ? earlier : offered;
  }

  #refuseFallenVersions(offered: SnapshotMetadata): void {
    for (const [file, { version }] of this.#earlierSnapshot?.meta ?? []) {
      const now = offered.meta.get(file)?.version;
      if (now === undefined || now < version) {
        throw new Refusal('METADATA_ROLLBACK', `${file} ${now ?? 'gone'} after ${version}`);
      }
    }
  }

  #verifyTargets(
    name: string,
    bytes: Uint8Array,
    keys: ReadonlyMap<string, TufKey>,
    role: RoleKeys,
    now: number,
  ): TargetsMetadata {
    const meta = this.snapshot.meta.get(`${name}.json`);
    if (meta === undefined) throw new Refusal('METADATA_MISMATCH', `the snapshot does not list ${name}`);
    refuseOtherBytes(name, bytes, meta); // TUF 5.6.2
    const { envelope, signed } = parseTargets(bytes, this.#dialect);
    verifyRole(this.#dialect, envelope, keys, role); // TUF 5.6.3
    refuseOtherVersion(name, signed.version, meta); // TUF 5.6.4
    refuseBelowMark(this.#marks, name, signed.version, role);
    refuseExpired(name, signed.expires, now); // TUF 5.6.5
    return signed;
  }
}

function verifyRole(
  { schemes }: Dialect,
  envelope: SignedEnvelope,
  keys: ReadonlyMap<string, TufKey>,
  role: RoleKeys,
): void {
  verifyThreshold(envelope, keys, role.keyids, role.threshold, schemes);
}

function refuseExpired(name: string, expires: number, now: number): void {
  // Written so that a time that is no number refuses.
  if (now < expires) return;
  throw new Refusal('METADATA_EXPIRED', `${name} expired at ${new Date(expires).toISOString()}`);
}

function refuseOtherBytes(name: string, bytes: Uint8Array, meta: FileMeta): void {
  if (meta.length !== undefined && bytes.length > meta.length) {
    throw new Refusal('METADATA_MISMATCH', `${name} is longer than its parent says`);
  }
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const wanted = meta[algorithm];
    if (wanted === undefined || createHash(algorithm).update(bytes).digest('hex') === wanted) continue;
    throw new Refusal('METADATA_MISMATCH', `${name} has another ${algorithm} than its parent says`);
  }
}

function refuseOtherVersion(name: string, version: number, meta: FileMeta): void {
  if (version === meta.version) return;
  throw new Refusal('METADATA_MISMATCH', `${name} is version ${version}, its parent says ${meta.version}`);
}

function loaded<T>(name: string, role: T | undefined): T {
  if (role === undefined) throw new TypeError(`${name} is not verified yet`);
  return role;
}
