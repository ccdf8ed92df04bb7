/**
 * A small TUF repository with its keys in hand, made with node:crypto alone: it signs right, and it signs wrong where a test asks for it.
 * Change `roles`, then `publish` what changed.
 */
import { canonicalBytes } from '../canonical.ts';
import { sha256, testKey, type TestKey } from './keys.ts';

export const PRODUCT = 'acme.dc150';
/** The time at which everything here is valid. */
export const NOW = Date.parse('2026-11-22T12:00:00Z');

export interface RawTargets {
  _type: 'targets';
  spec_version: string;
  version: number;
  expires: string;
  targets: Record<string, { length: number; hashes: { sha256: string }; custom?: unknown }>;
  delegations?: {
    keys: Record<string, unknown>;
    roles: {
      name: string;
      keyids: string[];
      threshold: number;
      paths: string[];
      terminating: boolean;
    }[];
  };
}

export function signed(body: object, keys: readonly TestKey[]): Buffer {
  const message = canonicalBytes(body);
  const signatures = keys.map((key) => ({ keyid: key.id, sig: key.sign(message).toString('hex') }));
  return Buffer.from(JSON.stringify({ signed: body, signatures }));
}

export function inDays(days: number): string {
  return new Date(NOW + Math.round(days * 86_400) * 1000).toISOString().replace('.000Z', 'Z');
}

function keyMap(keys: readonly TestKey[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key.id, key.tuf]));
}

function roleOf(keys: readonly TestKey[], threshold: number) {
  return { keyids: keys.map((key) => key.id), threshold };
}

export class TestRepository {
  keys = {
    root: [testKey(), testKey(), testKey()],
    targets: [testKey(), testKey(), testKey('p256')],
    product: [testKey(), testKey()],
    snapshot: [testKey()],
    timestamp: [testKey()],
  };
  versions = { root: 1, targets: 1, product: 1, snapshot: 1, timestamp: 1 };
  expires = { root: 90, targets: 90, product: 90, snapshot: 7, timestamp: 1 };
  /** Path below `/tuf/` → bytes. */
  readonly files = new Map<string, Buffer>();
  /** Top-level targets, by path. */
  readonly topTargets = new Map<string, Buffer>();
  productTargets: RawTargets['targets'] = {};
  /** Changes what is signed, so that a test can sign something wrong. */
  tamper: { targets?: (raw: RawTargets) => void; product?: (raw: RawTargets) => void } = {};
  /** Other roles in the snapshot. */
  readonly otherRoles: Record<string, { version: number }> = {};

  constructor() {
    this.topTargets.set('trust/sigstore_root.json', Buffer.from('{}'));
  }

  /** Signs everything at its present version. */
  publish(): this {
    this.publishRoot();
    this.publishTargets();
    this.publishProduct();
    this.publishSnapshot();
    this.publishTimestamp();
    return this;
  }

  /** @param signers of the old and of the new root. */
  publishRoot(signers: readonly TestKey[] = this.keys.root.slice(0, 2)): Buffer {
    const { root, targets, snapshot, timestamp } = this.keys;
    const body = {
      _type: 'root',
      spec_version: '1.0.34',
      consistent_snapshot: true,
      version: this.versions.root,
      expires: inDays(this.expires.root),
      keys: keyMap([...root, ...targets, ...snapshot, ...timestamp]),
      roles: {
        root: roleOf(root, 2),
        targets: roleOf(targets, 2),
        snapshot: roleOf(snapshot, 1),
        timestamp: roleOf(timestamp, 1),
      },
    };
    return this.#put(`metadata/${this.versions.root}.root.json`, signed(body, signers));
  }

  publishTargets(signers: readonly TestKey[] = this.keys.targets.slice(1)): Buffer {
    const targets: RawTargets['targets'] = {};
    for (const [path, bytes] of this.topTargets) {
      targets[path] = { length: bytes.length, hashes: { sha256: sha256(bytes) } };
      const slash = path.lastIndexOf('/') + 1;
      this.#put(`targets/${path.slice(0, slash)}${sha256(bytes)}.${path.slice(slash)}`, bytes);
    }
    const body: RawTargets = {
      _type: 'targets',
      spec_version: '1.0.34',
      version: this.versions.targets,
      expires: inDays(this.expires.targets),
      targets,
      delegations: {
        keys: keyMap(this.keys.product),
        roles: [
          {
            name: PRODUCT,
            ...roleOf(this.keys.product, 2),
            paths: [`${PRODUCT}/*`],
            terminating: true,
          },
        ],
      },
    };
    this.tamper.targets?.(body);
    return this.#put(`metadata/${this.versions.targets}.targets.json`, signed(body, signers));
  }

  publishProduct(signers: readonly TestKey[] = this.keys.product): Buffer {
    const body: RawTargets = {
      _type: 'targets',
      spec_version: '1.0.34',
      version: this.versions.product,
      expires: inDays(this.expires.product),
      targets: this.productTargets,
    };
    this.tamper.product?.(body);
    return this.#put(`metadata/${this.versions.product}.${PRODUCT}.json`, signed(body, signers));
  }

  publishSnapshot(signers: readonly TestKey[] = this.keys.snapshot): Buffer {
    const body = {
      _type: 'snapshot',
      spec_version: '1.0.34',
      version: this.versions.snapshot,
      expires: inDays(this.expires.snapshot),
      meta: {
        'targets.json': { version: this.versions.targets },
        [`${PRODUCT}.json`]: { version: this.versions.product },
        ...this.otherRoles,
      },
    };
    return this.#put(`metadata/${this.versions.snapshot}.snapshot.json`, signed(body, signers));
  }

  publishTimestamp(signers: readonly TestKey[] = this.keys.timestamp): Buffer {
    const snapshot = this.file(`metadata/${this.versions.snapshot}.snapshot.json`);
    const body = {
      _type: 'timestamp',
      spec_version: '1.0.34',
      version: this.versions.timestamp,
      expires: inDays(this.expires.timestamp),
      meta: {
        'snapshot.json': {
          version: this.versions.snapshot,
          length: snapshot.length,
          hashes: { sha256: sha256(snapshot) },
        },
      },
    };
    return this.#put('metadata/timestamp.json', signed(body, signers));
  }

  /** One version up, for the roles named and for snapshot and timestamp, and everything signed again. */
  bump(...roles: ('targets' | 'product')[]): this {
    for (const role of [...roles, 'snapshot', 'timestamp'] as const) this.versions[role]++;
    return this.publishBelowRoot();
  }

  publishBelowRoot(): this {
    this.publishTargets();
    this.publishProduct();
    this.publishSnapshot();
    this.publishTimestamp();
    return this;
  }

  file(path: string): Buffer {
    const bytes = this.files.get(path);
    if (bytes === undefined) throw new Error(`the test repository has no ${path}`);
    return bytes;
  }

  #put(path: string, bytes: Buffer): Buffer {
    this.files.set(path, bytes);
    return bytes;
  }
}
