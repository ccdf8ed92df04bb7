/** TUF metadata, parsed: what a role file may hold, and how much of it. TUF 4.3 to 4.6 */
import { Refusal, SHA256 } from '../protocol/index.ts';
import { keyIdOf, type RoleKeys, type Signature, type SignedEnvelope, type TufKey } from './keys.ts';
import {
  anything,
  arrayOf,
  instantMs,
  integer,
  mapOf,
  oneOf,
  openObject,
  own,
  parseJson,
  ShapeError,
  text,
  truth,
  type Reader,
} from './shape.ts';

/** Longest metadata files that are read, in bytes. TUF 5.3.3, 5.4.1, 5.5.1, 5.6.1 ask for such bounds. */
export const MAX_BYTES = {
  root: 512 * 1024,
  timestamp: 16 * 1024,
  snapshot: 2 * 1024 * 1024,
  targets: 8 * 1024 * 1024,
} as const;

const MAX_KEYS = 64;
const MAX_ROLES = 4096;
const MAX_TARGETS = 20_000;

export type TopRole = 'root' | 'timestamp' | 'snapshot' | 'targets';

interface Common {
  version: number;
  /** Milliseconds since the epoch. */
  expires: number;
}

export interface FileMeta {
  version: number;
  /** Bytes. */
  length?: number;
  sha256?: string;
}

export interface RootMetadata extends Common {
  keys: Map<string, TufKey>;
  roles: Record<TopRole, RoleKeys>;
}

export interface TimestampMetadata extends Common {
  snapshot: FileMeta;
}

export interface SnapshotMetadata extends Common {
  /** By file name, e.g. `targets.json`. */
  meta: Map<string, FileMeta>;
}

export interface TargetFile {
  sha256: string;
  /** Bytes. */
  length: number;
  /** As it stands; `parseCustom` reads it. */
  custom: unknown;
}

export interface Delegation extends RoleKeys {
  name: string;
  /** Undefined where the role is delegated by hash prefixes. */
  paths: string[] | undefined;
  terminating: boolean;
}

export interface TargetsMetadata extends Common {
  targets: Map<string, TargetFile>;
  delegations: { keys: Map<string, TufKey>; roles: Delegation[] } | undefined;
}

/** A role file: the envelope, for its signatures, and what it says. */
export interface Parsed<T> {
  envelope: SignedEnvelope;
  signed: T;
}

const KEY_ID = SHA256;
/** No `/`, so that a role's name is its file's name. */
const ROLE_FILE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.json$/;
const TARGET_PATH = /^[A-Za-z0-9][A-Za-z0-9._+-]*(\/[A-Za-z0-9][A-Za-z0-9._+-]*)*$/;

const tufKey: Reader<TufKey> = (value, at) => {
  openObject({ keytype: text(32), scheme: text(64), keyval: openObject({ public: text(4096) }) })(value, at);
  return value as TufKey;
};

const keyMap: Reader<Map<string, TufKey>> = (value, at) => {
  const keys = mapOf(KEY_ID, tufKey, MAX_KEYS)(value, at);
  for (const [id, key] of keys) {
    // TUF 4.2: clients MUST calculate each KEYID
    if (keyIdOf(key) !== id) throw new ShapeError(`${at}/${id}`, 'the hash of its key');
  }
  return keys;
};

const roleKeys = {
  keyids: distinct(arrayOf(text(64, KEY_ID), MAX_KEYS)),
  threshold: integer(1, MAX_KEYS),
};

const fileMeta: Reader<FileMeta> = (value, at) => {
  const read = openObject({ version: integer(1) }, { length: integer(1), hashes: anything })(value, at);
  const meta: FileMeta = { version: read.version };
  if (read.length !== undefined) meta.length = read.length;
  if (read.hashes !== undefined) meta.sha256 = hash(read.hashes, `${at}/hashes`);
  return meta;
};

const targetFile: Reader<TargetFile> = (value, at) => {
  const read = openObject({ length: integer(0), hashes: hash }, { custom: anything })(value, at);
  return { length: read.length, sha256: read.hashes, custom: read.custom };
};

const delegation: Reader<Delegation> = (value, at) => {
  const read = openObject(
    { name: text(128), terminating: truth, ...roleKeys },
    { paths: arrayOf(text(256), 64) },
  )(value, at);
  return { ...read, paths: read.paths };
};

const delegations: Reader<NonNullable<TargetsMetadata['delegations']>> = (value, at) =>
  openObject({ keys: keyMap, roles: arrayOf(delegation, MAX_ROLES) })(value, at);

const role = openObject(roleKeys);

const root = openObject({
  ...common('root'),
  keys: keyMap,
  // Without consistent snapshots the file names would not be those that this client asks for. TUF 6.2
  consistent_snapshot: oneOf(true),
  roles: openObject({ root: role, timestamp: role, snapshot: role, targets: role }),
});
const timestamp = openObject({
  ...common('timestamp'),
  meta: openObject({ 'snapshot.json': fileMeta }),
});
const snapshot = openObject({ ...common('snapshot'), meta: mapOf(ROLE_FILE, fileMeta, MAX_ROLES) });
const targets = openObject(
  { ...common('targets'), targets: mapOf(TARGET_PATH, targetFile, MAX_TARGETS) },
  { delegations },
);

/** @throws Refusal METADATA_MALFORMED or METADATA_TOO_LARGE, as the three below. */
export function parseRoot(bytes: Uint8Array): Parsed<RootMetadata> {
  return parse('root', bytes, root);
}

export function parseTimestamp(bytes: Uint8Array): Parsed<TimestampMetadata> {
  const { envelope, signed } = parse('timestamp', bytes, timestamp);
  const { version, expires, meta } = signed;
  return { envelope, signed: { version, expires, snapshot: meta['snapshot.json'] } };
}

export function parseSnapshot(bytes: Uint8Array): Parsed<SnapshotMetadata> {
  return parse('snapshot', bytes, snapshot);
}

export function parseTargets(bytes: Uint8Array): Parsed<TargetsMetadata> {
  const { envelope, signed } = parse('targets', bytes, targets);
  return { envelope, signed: { ...signed, delegations: signed.delegations } };
}

/** What every role begins with. */
function common(role: TopRole) {
  return {
    _type: oneOf(role),
    // TUF 4.3: a client refuses a major version that it does not know
    spec_version: text(32, /^1\.\d+(\.\d+)?$/),
    version: integer(1),
    expires: instantMs,
  };
}

function parse<T>(role: TopRole, bytes: Uint8Array, read: Reader<T>): Parsed<T> {
  if (bytes.length > MAX_BYTES[role])
    throw new Refusal('METADATA_TOO_LARGE', `${role}: ${bytes.length} bytes`);
  try {
    const { signed, signatures } = openObject({ signed: anything, signatures: signatureList })(
      parseJson(bytes, MAX_BYTES[role]),
      '',
    );
    return { envelope: { signed, signatures }, signed: read(signed, '/signed') };
  } catch (error) {
    throw new Refusal('METADATA_MALFORMED', `${role}: ${(error as Error).message.slice(0, 300)}`, {
      cause: error,
    });
  }
}

const signatureList: Reader<Signature[]> = (value, at) => {
  const read = arrayOf(openObject({ keyid: text(64, KEY_ID), sig: text(1024) }), MAX_KEYS)(value, at);
  distinct(() => read.map((signature) => signature.keyid))(value, at);
  return read;
};

function distinct(read: Reader<string[]>): Reader<string[]> {
  return (value, at) => {
    const items = read(value, at);
    if (new Set(items).size !== items.length) throw new ShapeError(at, 'free of repetitions');
    return items;
  };
}

/** SHA-256 is the one hash used; others may stand beside it. TUF 4.1 "HASHES" */
function hash(value: unknown, at: string): string {
  return text(64, SHA256)(own(value, at).get('sha256'), `${at}/sha256`);
}
