/** What the roles' files are made of: keys, role keys, hashes, delegations. TUF 4.2, 4.5 */
import { SHA256 } from '../protocol/index.ts';
import type { Dialect } from './dialect.ts';
import { keyIdOf, type RoleKeys, type TufKey } from './keys.ts';
import {
  anything,
  arrayOf,
  integer,
  mapOf,
  openObject,
  own,
  ShapeError,
  text,
  truth,
  type Reader,
} from './shape.ts';

/** Of one role, and of a root. */
export const MAX_KEYS = 64;
/** Of all roles that one role delegates to; the file's length bounds them too. */
const MAX_DELEGATED_KEYS = 4096;
export const KEY_ID = SHA256;
const SHA512 = /^[0-9a-f]{128}$/;
const HASH_PREFIX = /^[0-9a-f]{1,64}$/;
const TOP_ROLES = new Set(['root', 'timestamp', 'snapshot', 'targets']);

/** Hex. Where both are given, both must fit. */
export interface Digests {
  sha256?: string;
  sha512?: string;
}

export interface FileMeta extends Digests {
  version: number;
  /** Bytes. */
  length?: number;
}

export interface TargetFile extends Digests {
  /** Bytes. */
  length: number;
  /** As it stands; `parseCustom` reads it. */
  custom: unknown;
}

/** A role by its name, as its delegator hands it on. */
export interface DelegatedRole extends RoleKeys {
  name: string;
}

export interface Delegation extends DelegatedRole {
  /** Undefined where the role is delegated by hash prefixes. */
  paths: string[] | undefined;
  /** Hex prefixes of the SHA-256 of the target path. */
  pathHashPrefixes: string[] | undefined;
  terminating: boolean;
}

/** 2^bitLength roles, by the first bits of the SHA-256 of the target path. TUF 4.5, TAP 15 */
export interface SuccinctRoles extends RoleKeys {
  bitLength: number;
  namePrefix: string;
}

export interface Delegations {
  keys: Map<string, TufKey>;
  roles: Delegation[];
  succinct: SuccinctRoles | undefined;
}

const tufKey: Reader<TufKey> = (value, at) => {
  openObject({ keytype: text(32), scheme: text(64), keyval: openObject({ public: text(4096) }) })(value, at);
  return value as TufKey;
};

export function keyMap(max = MAX_KEYS): Reader<Map<string, TufKey>> {
  const read = mapOf(KEY_ID, tufKey, max);
  return (value, at) => {
    const keys = read(value, at);
    for (const [id, key] of keys) {
      // TUF 4.2: clients MUST calculate each KEYID
      if (keyIdOf(key) !== id) throw new ShapeError(`${at}/${id}`, 'the hash of its key');
    }
    return keys;
  };
}

export const roleKeys = {
  keyids: distinct(arrayOf(text(64, KEY_ID), MAX_KEYS)),
  threshold: integer(1, MAX_KEYS),
};

export function fileMeta(dialect: Dialect): Reader<FileMeta> {
  const read = openObject({ version: integer(1) }, { length: integer(1), hashes: digests(dialect) });
  return (value, at) => {
    const { version, length, hashes } = read(value, at);
    // Hashes none of which can be checked here are not the same as none.
    if (hashes !== undefined && Object.keys(hashes).length === 0) {
      throw new ShapeError(`${at}/hashes`, 'by an algorithm that is known here');
    }
    return length === undefined ? { version, ...hashes } : { version, length, ...hashes };
  };
}

export function targetFile(dialect: Dialect): Reader<TargetFile> {
  const read = openObject({ length: integer(0), hashes: digests(dialect) }, { custom: anything });
  return (value, at) => {
    const { length, hashes, custom } = read(value, at);
    return { length, ...hashes, custom };
  };
}

/** Others may stand beside those that are known here. */
function digests({ otherHashes }: Dialect): Reader<Digests> {
  return (value, at) => {
    const members = own(value, at);
    const found: Digests = {};
    if (!otherHashes || members.has('sha256')) {
      found.sha256 = text(64, SHA256)(members.get('sha256'), `${at}/sha256`);
    }
    if (otherHashes && members.has('sha512')) {
      found.sha512 = text(128, SHA512)(members.get('sha512'), `${at}/sha512`);
    }
    return found;
  };
}

export function delegations({ hashedPaths, maxRoles }: Dialect): Reader<Delegations> {
  if (!hashedPaths) {
    const read = openObject({ keys: keyMap(MAX_DELEGATED_KEYS), roles: arrayOf(delegation, maxRoles) });
    return (value, at) => ({ ...read(value, at), succinct: undefined });
  }
  const read = openObject(
    { keys: keyMap(MAX_DELEGATED_KEYS) },
    { roles: arrayOf(anyDelegation, maxRoles), succinct_roles: succinctRoles },
  );
  return (value, at) => {
    const { keys, roles, succinct_roles: succinct } = read(value, at);
    if ((roles === undefined) === (succinct === undefined)) {
      throw new ShapeError(at, 'either by roles or by succinct roles');
    }
    distinct(() => (roles ?? []).map(({ name }) => name))(value, `${at}/roles`);
    return { keys, roles: roles ?? [], succinct };
  };
}

const delegation: Reader<Delegation> = (value, at) => {
  const read = openObject(
    { name: text(512), terminating: truth, ...roleKeys },
    { paths: arrayOf(text(1024), 256), path_hash_prefixes: arrayOf(text(64), 16_384) },
  )(value, at);
  const { path_hash_prefixes: pathHashPrefixes, paths, ...rest } = read;
  return { ...rest, paths, pathHashPrefixes };
};

const anyDelegation: Reader<Delegation> = (value, at) => {
  const read = delegation(value, at);
  if (read.name === '' || TOP_ROLES.has(read.name)) {
    throw new ShapeError(`${at}/name`, 'the name of no top-level role');
  }
  // TUF 4.5: one of the two, and not both
  if ((read.paths === undefined) === (read.pathHashPrefixes === undefined)) {
    throw new ShapeError(at, 'either by paths or by path hash prefixes');
  }
  for (const prefix of read.pathHashPrefixes ?? []) text(64, HASH_PREFIX)(prefix, `${at}/path_hash_prefixes`);
  return read;
};

const succinctRoles: Reader<SuccinctRoles> = (value, at) => {
  const read = openObject({ bit_length: integer(1, 32), name_prefix: text(256), ...roleKeys })(value, at);
  const { bit_length: bitLength, name_prefix: namePrefix, keyids, threshold } = read;
  return { bitLength, namePrefix, keyids, threshold };
};

export function distinct(read: Reader<string[]>): Reader<string[]> {
  return (value, at) => {
    const items = read(value, at);
    if (new Set(items).size !== items.length) throw new ShapeError(at, 'free of repetitions');
    return items;
  };
}
