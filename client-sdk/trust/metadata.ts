/** TUF metadata, parsed: what a role file may hold, and how much of it. TUF 4.3 to 4.6 */
import { Refusal } from '../protocol/index.ts';
import { TIDEGATE, type Dialect } from './dialect.ts';
import type { RoleKeys, Signature, SignedEnvelope, TufKey } from './keys.ts';
import {
  delegations,
  distinct,
  fileMeta,
  keyMap,
  MAX_KEYS,
  roleKeys,
  targetFile,
  type Delegations,
  type FileMeta,
  type TargetFile,
} from './role-parts.ts';
import {
  anything,
  arrayOf,
  instantMs,
  integer,
  mapOf,
  oneOf,
  openObject,
  parseJson,
  text,
  truth,
  type Reader,
} from './shape.ts';

/** Longest metadata files that are read, in bytes. TUF 5.3.3, 5.4.1, 5.5.1, 5.6.1 ask for such bounds. */
export const MAX_BYTES = {
  root: 512 * 1024,
  timestamp: 16 * 1024,
  snapshot: 2 * 1024 * 1024,
  // 10,000 releases with bundle, SBOM, fallback and notes have 8 MiB; attested twice, 10.
  targets: 16 * 1024 * 1024,
} as const;

const MAX_TARGETS = 20_000;

export type TopRole = 'root' | 'timestamp' | 'snapshot' | 'targets';

interface Common {
  version: number;
  /** Milliseconds since the epoch. */
  expires: number;
}

export interface RootMetadata extends Common {
  keys: Map<string, TufKey>;
  roles: Record<TopRole, RoleKeys>;
  /** Whether files carry their version, and targets their digest, in their name. TUF 6.2 */
  consistentSnapshot: boolean;
}

export interface TimestampMetadata extends Common {
  snapshot: FileMeta;
}

export interface SnapshotMetadata extends Common {
  /** By file name, e.g. `targets.json`. */
  meta: Map<string, FileMeta>;
}

export interface TargetsMetadata extends Common {
  targets: Map<string, TargetFile>;
  delegations: Delegations | undefined;
}

/** A role file: the envelope, for its signatures, and what it says. */
export interface Parsed<T> {
  envelope: SignedEnvelope;
  signed: T;
}

const role = openObject(roleKeys);
const signatureList: Reader<Signature[]> = (value, at) => {
  const read = arrayOf(openObject({ keyid: text(256), sig: text(2048) }), MAX_KEYS)(value, at);
  // TUF 4.2: "The keyid MUST be unique in the signatures array"
  distinct(() => read.map((signature) => signature.keyid))(value, at);
  return read;
};

/** @throws Refusal METADATA_MALFORMED or METADATA_TOO_LARGE, as the three below. */
export function parseRoot(bytes: Uint8Array, dialect: Dialect = TIDEGATE): Parsed<RootMetadata> {
  const members = {
    ...common('root'),
    keys: keyMap(),
    roles: openObject({ root: role, timestamp: role, snapshot: role, targets: role }),
  };
  const read = dialect.unversionedFiles
    ? openObject(members, { consistent_snapshot: truth })
    : // Otherwise the file names would not be those that this client asks for. TUF 6.2
      openObject({ ...members, consistent_snapshot: oneOf(true) });
  const { envelope, signed } = parse('root', bytes, read);
  const { consistent_snapshot: consistentSnapshot = false, ...rest } = signed;
  return { envelope, signed: { ...rest, consistentSnapshot } };
}

export function parseTimestamp(bytes: Uint8Array, dialect: Dialect = TIDEGATE): Parsed<TimestampMetadata> {
  const members = { ...common('timestamp'), meta: openObject({ 'snapshot.json': fileMeta(dialect) }) };
  const { envelope, signed } = parse('timestamp', bytes, openObject(members));
  const { version, expires, meta } = signed;
  return { envelope, signed: { version, expires, snapshot: meta['snapshot.json'] } };
}

export function parseSnapshot(bytes: Uint8Array, dialect: Dialect = TIDEGATE): Parsed<SnapshotMetadata> {
  const meta = mapOf(dialect.roleFile, fileMeta(dialect), dialect.maxRoles);
  return parse('snapshot', bytes, openObject({ ...common('snapshot'), meta }));
}

export function parseTargets(bytes: Uint8Array, dialect: Dialect = TIDEGATE): Parsed<TargetsMetadata> {
  const targets = mapOf(dialect.targetPath, targetFile(dialect), MAX_TARGETS);
  const read = openObject({ ...common('targets'), targets }, { delegations: delegations(dialect) });
  const { envelope, signed } = parse('targets', bytes, read);
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
