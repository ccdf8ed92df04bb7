/**
 * Who may say what to a charger: TUF metadata, the trust policy, Sigstore bundles, directives, and the rules of going up and down.
 * Times are milliseconds since the epoch. Everything here refuses with a `Refusal` and its code.
 */
import type {
  Directive,
  DirectiveTarget,
  Envelope,
  Fallback,
  ProvenanceStatement,
  ReleaseTarget,
  TargetCustom,
  TrustPolicy,
} from '../protocol/index.ts';
import type { Files } from './files.ts';

export type { AppendFile, Files } from './files.ts';

/** The API is declared first, so that other rooms can compile against it; nothing runs yet. */
export interface TufKey {
  keytype: string;
  scheme: string;
  keyval: { public: string };
}
export interface Signature {
  keyid: string;
  /** Hex; empty where the signature is still missing. */
  sig: string;
}
export interface SignedEnvelope {
  signed: unknown;
  signatures: Signature[];
}
export interface RoleKeys {
  keyids: string[];
  threshold: number;
}
export declare function canonicalBytes(value: unknown): Buffer;
export declare function keyIdOf(key: TufKey): string;
/** TUF key of an SPKI PEM or KeyObject: ed25519 as hex, P-256 as PEM. */
export declare function tufKeyOf(publicKey: string): TufKey;
export declare function verifyThreshold(
  envelope: SignedEnvelope,
  keys: ReadonlyMap<string, TufKey>,
  keyids: readonly string[],
  threshold: number,
): void;
/** Key ids whose signature over `signed` is valid, one for each distinct public key. */
export declare function validSigners(
  envelope: SignedEnvelope,
  keys: ReadonlyMap<string, TufKey>,
  keyids: readonly string[],
): string[];

export type TopRole = 'root' | 'timestamp' | 'snapshot' | 'targets';
export interface FileMeta {
  version: number;
  length?: number;
  sha256?: string;
}
export interface RootMetadata {
  version: number;
  expires: number;
  keys: Map<string, TufKey>;
  roles: Record<TopRole, RoleKeys>;
}
export interface TimestampMetadata {
  version: number;
  expires: number;
  snapshot: FileMeta;
}
export interface SnapshotMetadata {
  version: number;
  expires: number;
  /** By file name, e.g. `targets.json`. */
  meta: Map<string, FileMeta>;
}
export interface TargetFile {
  sha256: string;
  length: number;
  custom: unknown;
}
export interface Delegation extends RoleKeys {
  name: string;
  paths: string[];
  terminating: boolean;
}
export interface TargetsMetadata {
  version: number;
  expires: number;
  targets: Map<string, TargetFile>;
  delegations: { keys: Map<string, TufKey>; roles: Delegation[] } | undefined;
}
/** Role name → highest version that was trusted, and SHA-256 of the key set that it was trusted under. */
export type Marks = Record<string, { version: number; keys: string }>;

export declare class TrustedSet {
  private constructor();
  static start(rootBytes: Uint8Array, marks?: Marks): TrustedSet;
  updateRoot(bytes: Uint8Array): RootMetadata;
  updateTimestamp(bytes: Uint8Array, now: number): TimestampMetadata;
  updateSnapshot(bytes: Uint8Array, now: number): SnapshotMetadata;
  updateTargets(bytes: Uint8Array, now: number): TargetsMetadata;
  updateProductRole(product: string, bytes: Uint8Array, now: number): TargetsMetadata;
  get root(): RootMetadata;
  get timestamp(): TimestampMetadata;
  get snapshot(): SnapshotMetadata;
  get targets(): TargetsMetadata;
  productRole(product: string): TargetsMetadata;
  productTarget(product: string, path: string): ReleaseTarget;
  topTarget(path: string): { sha256: string; length: number };
  marks(): Marks;
}

export declare function parsePolicy(bytes: Uint8Array): TrustPolicy;
export declare function parseCustom(value: unknown): TargetCustom;

export interface VerifiedStatement {
  statement: ProvenanceStatement;
  /** Key id (hex) of a key builder, or the certificate's SAN URI. */
  signer: string;
}
export interface VerifiedRelease extends VerifiedStatement {
  target: ReleaseTarget;
}
export declare function verifyBundle(input: {
  bundle: Uint8Array;
  sha256: string;
  policy: TrustPolicy;
  product: string;
  sigstoreRoot: Uint8Array;
}): VerifiedStatement;
export declare function verifyRelease(input: {
  target: ReleaseTarget;
  bundles: Uint8Array[];
  product: string;
  policy: TrustPolicy;
  sigstoreRoot: Uint8Array;
}): VerifiedRelease;

export interface DirectiveContext {
  policy: TrustPolicy;
  organisation: string;
  serial: string;
  nonce: string;
}
/** Signature, addressee and nonce only: the signed time of an answer, for a charger that does not know the time yet. */
export declare function directiveTime(envelope: Envelope, context: DirectiveContext): number;
export declare function verifyDirective(
  envelope: Envelope,
  context: DirectiveContext & { now: number; last: { epoch: number; sequence: number } | undefined },
): Directive;
/** The product role's own entry of what a directive names. */
export declare function directedTarget(
  wanted: DirectiveTarget,
  set: TrustedSet,
  product: string,
): ReleaseTarget;

/** What `decideInstall` needs to know of a charger. */
export interface InstallState {
  /** The last image that was committed as healthy. A trial boot is not in here. */
  committed: { sha256: string | null; version: string; securityVersion: number };
  floor: number;
  /** Signed fallbacks of the committed image: the current role's entry, else the persisted one. */
  fallbackOfInstalled: Fallback[];
  /** Images that this charger fell back from, with the time. */
  fellBackFrom: { sha256: string; at: number }[];
}
export declare function decideInstall(input: {
  target: ReleaseTarget;
  charger: { product: string; hardware: string };
  state: InstallState;
  policy: TrustPolicy;
  now: number;
}): void;
export declare function floorAfterCommit(input: {
  floor: number;
  committed: { securityVersion: number; fallback: Fallback[] };
  /** The product role's current security version of a fallback; undefined where it is not listed any more. */
  securityVersionOf: (fallback: Fallback) => number | undefined;
  /** Of the policy. */
  cap: number;
  now: number;
}): number;

/** max(clock, floor); with a signed time of this boot, that time plus what the clock has counted since. */
export declare function trustedNow(
  clock: number,
  floor: number,
  signed?: { time: number; clock: number },
): number;
/** The time floor after a signed time: never lower, at most one bounded step higher. */
export declare function raiseTimeFloor(floor: number, signedTime: number): number;
export declare function readTimeFloor(files: Files, buildTime: number): Promise<number>;
export declare function writeTimeFloor(files: Files, floor: number): Promise<void>;

export declare function diskFiles(folder: string): Files;

/** Path below `/tuf/`, e.g. `metadata/timestamp.json`. Undefined on 404. Never more than `maxBytes` + 1 bytes. */
export type MetadataFetch = (path: string, maxBytes: number) => Promise<Uint8Array | undefined>;

export interface TrustResult {
  set: TrustedSet;
  policy: TrustPolicy;
  /** `trust/sigstore_root.json`, verbatim. */
  sigstoreRoot: Uint8Array;
  /** The product role as it was verified. */
  productTargets: TargetsMetadata;
}
export declare function refreshTrust(input: {
  files: Files;
  fetch: MetadataFetch;
  /** Trusted time, from `trustedNow`. */
  now: number;
  provisioning: { root: Uint8Array; product: string };
  /** From the check-in's answer, so that an idle poll fetches nothing. */
  hint?: { timestamp: string; rootVersion: number };
  /** What the last call returned, so that an idle poll reads nothing. */
  previous?: TrustResult;
}): Promise<TrustResult>;
