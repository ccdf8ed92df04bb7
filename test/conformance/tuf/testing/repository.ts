/**
 * A TUF repository that a test changes at will and publishes version by version, right or wrong, and that remembers what was asked of it.
 * Every published version stays to be fetched, the `n`-th as version `n`, whatever it says of itself.
 */
import { createHash } from 'node:crypto';
import { canonicalBytes } from '@tidegate/client-sdk/trust/tuf';
import { roleKey, type RoleKey } from './keys.ts';

const DAY = 24 * 60 * 60 * 1000;
export const NOW = Date.parse('2026-11-22T12:00:00Z');
export const TOP = ['root', 'targets', 'snapshot', 'timestamp'] as const;

export interface Envelope {
  signed: Record<string, unknown>;
  signatures: { keyid: string; sig: string }[];
}

interface RoleBody {
  version: number;
  expires: string;
  [member: string]: unknown;
}

interface Meta {
  version: number;
  length?: number;
  hashes?: Record<string, string>;
}

interface KeyRing {
  keyids: string[];
  threshold: number;
}

export interface Delegated extends KeyRing {
  name: string;
  terminating: boolean;
  paths?: string[];
  path_hash_prefixes?: string[];
}

export interface TargetsBody extends RoleBody {
  targets: Record<string, { length: number; hashes: Record<string, string> }>;
  delegations?: { keys: Record<string, unknown>; roles?: Delegated[]; succinct_roles?: object };
}

export class Repository {
  readonly root: RoleBody & {
    consistent_snapshot: boolean;
    keys: Record<string, unknown>;
    roles: Record<string, KeyRing>;
  };
  readonly timestamp: RoleBody & { meta: { 'snapshot.json': Meta } };
  readonly snapshot: RoleBody & { meta: Record<string, Meta> };
  readonly targets = new Map<string, TargetsBody>();
  /** Who signs a role when it is published. */
  readonly signers = new Map<string, RoleKey[]>();
  /** Published bytes, by role, first version first. */
  readonly published = new Map<string, Buffer[]>();
  readonly artifacts = new Map<string, Buffer>();
  /** `role` or `role@version`, and paths of artifacts, in the order in which they were asked for. */
  readonly metadataRequests: string[] = [];
  readonly artifactRequests: string[] = [];
  /** Whether parents give length and hash of their children. */
  hashes = false;

  constructor() {
    const roles = Object.fromEntries(TOP.map((role) => [role, { keyids: [], threshold: 1 }]));
    this.root = { ...body(), _type: 'root', consistent_snapshot: true, keys: {}, roles };
    this.timestamp = { ...body(), _type: 'timestamp', meta: { 'snapshot.json': { version: 1 } } };
    this.snapshot = { ...body(), _type: 'snapshot', meta: {} };
    this.targets.set('targets', newTargets());
    for (const role of TOP) this.addKey(role, roleKey());
    this.publish('targets', 'snapshot', 'timestamp', 'root');
  }

  get top(): TargetsBody {
    return this.role('targets');
  }

  role(name: string): TargetsBody {
    const found = this.targets.get(name);
    if (found === undefined) throw new Error(`no role ${name}`);
    return found;
  }

  /** A key that counts for a top-level role and signs it from now on. */
  addKey(role: string, key: RoleKey): RoleKey {
    this.root.keys[key.id] = key.tuf;
    this.ring(role).keyids.push(key.id);
    this.signers.set(role, [...(this.signers.get(role) ?? []), key]);
    return key;
  }

  ring(role: string): KeyRing {
    const ring = this.root.roles[role];
    if (ring === undefined) throw new Error(`no role ${role}`);
    return ring;
  }

  rotate(role: string): void {
    this.ring(role).keyids.length = 0;
    this.signers.set(role, []);
    for (let i = 0; i < this.ring(role).threshold; i++) this.addKey(role, roleKey());
  }

  /** Delegates `name` from `delegator` to a key that signs it, and to which `name` answers from this delegator. */
  delegate(delegator: string, name: string, how: Partial<Delegated> = {}, key = roleKey('ed25519')): RoleKey {
    const { delegations = { keys: {} } } = this.role(delegator);
    this.role(delegator).delegations = delegations;
    delegations.keys[key.id] = key.tuf;
    const paths = how.path_hash_prefixes === undefined ? { paths: ['*'] } : {};
    const role = { name, keyids: [key.id], threshold: 1, terminating: false, ...paths, ...how };
    delegations.roles = [...(delegations.roles ?? []), role];
    if (!this.targets.has(name)) {
      this.targets.set(name, newTargets());
      this.signers.set(name, [key]);
    }
    return key;
  }

  addArtifact(role: string, path: string, content: string, algorithms = ['sha256']): void {
    const bytes = Buffer.from(content);
    const hashes = Object.fromEntries(algorithms.map((name) => [name, hash(bytes, name)]));
    this.role(role).targets[path] = { length: bytes.length, hashes };
    this.artifacts.set(path, bytes);
  }

  /** Signs each role anew, one version up unless it is its first, and has its parent name it. */
  publish(...roles: string[]): this {
    for (const name of roles) {
      const signed = this.#body(name);
      const versions = this.published.get(name) ?? [];
      if (versions.length > 0) signed.version++;
      const bytes = encode(envelope(signed, this.signers.get(name) ?? []));
      this.published.set(name, [...versions, bytes]);
      this.#tellParent(name, signed.version, bytes);
    }
    return this;
  }

  /** The next version of a role is its first again. */
  forget(role: string, version = 1): void {
    this.published.delete(role);
    this.#body(role).version = version;
  }

  latest(role: string): Buffer {
    const bytes = this.published.get(role)?.at(-1);
    if (bytes === undefined) throw new Error(`${role} is not published`);
    return bytes;
  }

  /** Changes the bytes that were published last. */
  tamper(role: string, change: (envelope: Envelope) => void): void {
    const raw = JSON.parse(this.latest(role).toString()) as Envelope;
    change(raw);
    this.published.get(role)?.splice(-1, 1, encode(raw));
  }

  /** @param path below the repository, decoded. */
  answer(path: string): Buffer | undefined {
    if (path.startsWith('targets/')) return this.#artifact(path.slice('targets/'.length));
    const name = /^metadata\/(.*)\.json$/su.exec(path)?.[1];
    return name === undefined ? undefined : this.#metadata(name);
  }

  #metadata(name: string): Buffer | undefined {
    const versioned = /^(\d+)\.(.*)$/su.exec(name);
    if (versioned === null || !(this.root.consistent_snapshot || versioned[2] === 'root')) {
      this.metadataRequests.push(name);
      return this.published.get(name)?.at(-1);
    }
    const [, version = '', role = ''] = versioned;
    this.metadataRequests.push(`${role}@${version}`);
    return this.published.get(role)?.[Number(version) - 1];
  }

  #artifact(path: string): Buffer | undefined {
    this.artifactRequests.push(path);
    if (!this.root.consistent_snapshot) return this.artifacts.get(path);
    const [, folder = '', digest = '', file = ''] = /^(.*\/)?([0-9a-f]+)\.([^/]*)$/.exec(path) ?? [];
    const real = `${folder}${file}`;
    const named = [...this.targets.values()].some((role) =>
      Object.values(role.targets[real]?.hashes ?? {}).includes(digest),
    );
    return named ? this.artifacts.get(real) : undefined;
  }

  #body(name: string): RoleBody {
    if (name === 'root') return this.root;
    if (name === 'timestamp') return this.timestamp;
    return name === 'snapshot' ? this.snapshot : this.role(name);
  }

  #tellParent(name: string, version: number, bytes: Buffer): void {
    if (name === 'root' || name === 'timestamp') return;
    const meta: Meta = this.hashes
      ? { version, length: bytes.length, hashes: { sha256: hash(bytes) } }
      : { version };
    if (name === 'snapshot') this.timestamp.meta['snapshot.json'] = meta;
    else this.snapshot.meta[`${name}.json`] = meta;
  }
}

export function inDays(days: number): string {
  return `${new Date(NOW + days * DAY).toISOString().slice(0, 19)}Z`;
}

export function days(count: number): number {
  return NOW + count * DAY;
}

export function newTargets(): TargetsBody {
  return { ...body(), _type: 'targets', targets: {} };
}

function body(): RoleBody {
  return { spec_version: '1.0.34', version: 1, expires: inDays(30) };
}

function envelope(signed: RoleBody, signers: RoleKey[]): Envelope {
  const message = canonicalBytes(signed);
  return { signed, signatures: signers.map((key) => ({ keyid: key.id, sig: key.sign(message) })) };
}

/** Not the canonical form, so that a client which writes its own would be seen. */
function encode(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, undefined, 1)}\n `);
}

function hash(bytes: Buffer, algorithm = 'sha256'): string {
  return createHash(algorithm).update(bytes).digest('hex');
}
