/**
 * TUF metadata as plain values. Every edit in this room takes one and returns another; nothing is changed in place.
 * https://theupdateframework.github.io/specification/v1.0.34/ §4
 */
import type { TargetCustom } from '@tidegate/client-sdk/protocol';
import type { RoleKeys, TufKey } from '@tidegate/client-sdk/trust';

export type { RoleKeys, TufKey } from '@tidegate/client-sdk/trust';

export const SPEC_VERSION = '1.0.34';

/** A signed document. The signatures cover the canonical JSON of `signed`. */
export interface Metadata<T extends Signed = Signed> {
  signed: T;
  signatures: { keyid: string; sig: string }[];
}

export interface Signed {
  _type: 'root' | 'targets' | 'snapshot' | 'timestamp';
  spec_version: string;
  /** Whole number ≥ 1. */
  version: number;
  /** RFC 3339, UTC, whole seconds: some clients refuse milliseconds. */
  expires: string;
}

export const TOP_LEVEL_ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export type TopLevelRole = (typeof TOP_LEVEL_ROLES)[number];

export interface Root extends Signed {
  _type: 'root';
  consistent_snapshot: true;
  keys: Record<string, TufKey>;
  roles: Record<TopLevelRole, RoleKeys>;
  /** See `people.ts`. */
  'x-tidegate-people'?: Record<string, string>;
}

export interface TargetFile {
  /** Bytes. */
  length: number;
  hashes: { sha256: string };
  custom?: TargetCustom;
}

export interface DelegatedRole extends RoleKeys {
  name: string;
  paths: string[];
  terminating: boolean;
}

/** Both the top-level targets role, which delegates, and a product's role, which does not. */
export interface Targets extends Signed {
  _type: 'targets';
  targets: Record<string, TargetFile>;
  delegations?: { keys: Record<string, TufKey>; roles: DelegatedRole[] };
  /** Of the delegated keys; see `people.ts`. */
  'x-tidegate-people'?: Record<string, string>;
}

export interface MetaFile {
  version: number;
  /** Bytes. */
  length?: number;
  hashes?: { sha256: string };
}

export interface Snapshot extends Signed {
  _type: 'snapshot';
  meta: Record<string, MetaFile>;
}

export interface Timestamp extends Signed {
  _type: 'timestamp';
  meta: { 'snapshot.json': MetaFile };
}

/** The bytes of a document as they are published. */
export function encode(metadata: Metadata): Buffer {
  return Buffer.from(`${JSON.stringify(metadata)}\n`);
}
