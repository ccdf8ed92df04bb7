/** A release desk and an empty service beside it, for tests: real keys, real signatures, real database, real files. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  type Clock,
  type ExternalParameters,
  POLICY_TARGET,
  type ReleaseTarget,
  SIGSTORE_ROOT_TARGET,
  type TrustPolicy,
} from '@tidegate/client-sdk/protocol';
import { attestProvenance } from '@tidegate/signer/attest';
import { generateKey, hintOf, type PrivateKey } from '@tidegate/signer/keys';
import {
  addReleases,
  addSignature,
  addTarget,
  type BlobStore,
  bump,
  delegateProduct,
  encode,
  fileBlobs,
  type Metadata,
  newProductRole,
  newRoot,
  newTargets,
  productRole,
  type Root,
  type Targets,
  topLevelRole,
} from '@tidegate/signer/repository';
import type { Db } from '../db/index.ts';
import { publish, type Publication, type Published, type PublishingDeps, receiveUpload } from './index.ts';

export const PRODUCT = 'acme.dc150';
export const START = Date.parse('2026-11-22T12:00:00Z');

export interface Built {
  image: Buffer;
  bundle: Buffer;
  target: ReleaseTarget;
}

export interface TestClock extends Clock {
  time: number;
}

export class Desk {
  deps: PublishingDeps;
  readonly folder: string;
  readonly clock: TestClock;
  readonly products: readonly string[];
  readonly people = { root: keys(3), targets: keys(3), product: keys(2) };
  readonly build: PrivateKey = generateKey('ecdsa-sha2-nistp256');
  readonly director: PrivateKey = generateKey();
  policy: TrustPolicy;
  root: Metadata<Root>;
  targets: Metadata<Targets>;
  roles = new Map<string, Metadata<Targets>>();

  private constructor(db: Db, folder: string, organisation: string, products: readonly string[]) {
    this.products = products;
    const clock: TestClock = { time: START, now: () => clock.time, sleep: () => Promise.resolve() };
    this.clock = clock;
    this.folder = folder;
    const [snapshot, timestamp] = keys(2);
    if (snapshot === undefined || timestamp === undefined) throw new Error('keys');
    this.deps = {
      organisation,
      db,
      blobs: fileBlobs(join(folder, 'tuf')),
      staging: join(folder, 'staging'),
      keys: { snapshot, timestamp },
      clock,
    };
    const { root, targets } = this.people;
    const quorums = {
      root: { keys: root, threshold: 2 },
      targets: { keys: targets, threshold: 2 },
      snapshot: { keys: [snapshot], threshold: 1 },
      timestamp: { keys: [timestamp], threshold: 1 },
    };
    this.root = newRoot(quorums, START);
    this.targets = newTargets(START);
    this.policy = this.firstPolicy();
  }

  static async open(db: Db, organisation = 'acme', products: readonly string[] = [PRODUCT]): Promise<Desk> {
    const desk = new Desk(db, await mkdtemp(join(tmpdir(), 'tidegate-desk-')), organisation, products);
    const role = topLevelRole(desk.root, 'root');
    for (const key of desk.people.root.slice(0, 2)) desk.root = await addSignature(desk.root, role, key);
    return desk;
  }

  /** The next root, with a full life before it. */
  async nextRoot(): Promise<string> {
    const role = topLevelRole(this.root, 'root');
    this.root = bump(this.root, 'root', this.clock.time);
    for (const key of this.people.root.slice(0, 2)) this.root = await addSignature(this.root, role, key);
    return text(this.root);
  }

  /** Keys that are read from the store from now on, as they come. */
  watchReads(): string[] {
    const read: string[] = [];
    const { blobs } = this.deps;
    const get: BlobStore['get'] = (key, ...rest) => {
      read.push(key);
      return blobs.get(key, ...rest);
    };
    this.deps = { ...this.deps, blobs: { ...blobs, get } };
    return read;
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }

  private firstPolicy(): TrustPolicy {
    const { organisation } = this.deps;
    return {
      _type: 'tidegate-policy',
      version: 1,
      directors: {
        [organisation]: {
          epoch: 1,
          keys: [{ keyId: this.director.keyId, publicKey: this.director.publicKey, state: 'active' }],
        },
      },
      products: Object.fromEntries(this.products.map((product) => [product, this.productPolicy()])),
      denied: { digests: [], signers: [] },
    };
  }

  productPolicy(): TrustPolicy['products'][string] {
    const { publicKey } = this.build;
    const builder = { kind: 'key' as const, keyId: hintOf(publicKey), publicKey, state: 'active' as const };
    return { builders: [builder], logs: 0, timestamps: 0, securityVersionCap: 100, emergencyFloor: 0 };
  }

  /** The first publication: root, targets, policy and each product without a release. */
  async bootstrap(): Promise<Published> {
    for (const product of this.products) this.delegate(product);
    const trust = await this.signTrust(this.policy, false);
    for (const product of this.products) {
      this.roles.set(product, await this.signRole(newProductRole(this.clock.time), 2, product));
    }
    const products = Object.fromEntries([...this.roles].map(([product, role]) => [product, text(role)]));
    return this.send({ ...trust, roots: [text(this.root)], products });
  }

  /** Lets the desk's release engineers sign for the product; `signTrust` signs it. */
  delegate(product: string): void {
    this.targets = delegateProduct(this.targets, product, { keys: this.people.product, threshold: 2 });
  }

  /** Top-level targets that list this policy, signed. */
  async signTrust(
    policy: TrustPolicy,
    next = true,
    sigstoreRoot = JSON.stringify(EMPTY_SIGSTORE_ROOT),
  ): Promise<Pick<Publication, 'targets' | 'policy' | 'sigstoreRoot'>> {
    const files = [
      [POLICY_TARGET, JSON.stringify(policy)],
      [SIGSTORE_ROOT_TARGET, sigstoreRoot],
    ] as const;
    for (const [path, content] of files) {
      this.targets = addTarget(this.targets, path, { sha256: digest(content), length: content.length });
    }
    if (next) this.targets = bump(this.targets, 'targets', this.clock.time);
    const role = topLevelRole(this.root, 'targets');
    this.targets = { ...this.targets, signatures: [] };
    for (const key of this.people.targets.slice(0, 2)) {
      this.targets = await addSignature(this.targets, role, key);
    }
    this.policy = policy;
    return { targets: text(this.targets), policy: JSON.stringify(policy), sigstoreRoot };
  }

  /** An image that CI attested, and the target that lists it. */
  async buildRelease(
    version: string,
    change: {
      size?: number;
      custom?: Partial<ReleaseTarget['custom']>;
      by?: PrivateKey;
      attested?: Partial<ExternalParameters>;
      product?: string;
    } = {},
  ): Promise<Built> {
    const { product = PRODUCT } = change;
    const image = randomBytes(change.size ?? 5000);
    const sha256 = digest(image);
    const parameters = { product, version, hardware: ['dc150-r2'], securityVersion: 1 };
    const path = `${product}/dc150-${version}.img`;
    const bundle = Buffer.from(
      await attestProvenance({
        image: { name: path, sha256 },
        parameters: { ...parameters, ...change.attested },
        builder: 'https://ci.example/build',
        signer: change.by ?? this.build,
      }),
    );
    const side = { path: `${path}.sigstore.json`, sha256: digest(bundle), length: bundle.length };
    const custom = {
      ...parameters,
      fallback: [],
      bundles: [side],
      notes: '',
      sbom: null,
      cves: [],
      ...change.custom,
    };
    return { image, bundle, target: { path, sha256, length: image.length, custom } };
  }

  /** The next role that lists these too, signed by so many. */
  async listReleases(
    built: Pick<Built, 'target'>[],
    signatures = 2,
    product = PRODUCT,
  ): Promise<Metadata<Targets>> {
    const targets = built.map(({ target }) => target);
    const role = addReleases(this.role(product), product, targets);
    return this.signRole(bump(role, 'product', this.clock.time), signatures, product);
  }

  role(product = PRODUCT): Metadata<Targets> {
    const role = this.roles.get(product);
    if (role === undefined) throw new Error('Not bootstrapped.');
    return role;
  }

  async signRole(role: Metadata<Targets>, signatures = 2, product = PRODUCT): Promise<Metadata<Targets>> {
    let signed: Metadata<Targets> = { ...role, signatures: [] };
    const who = productRole(this.targets, product);
    for (const key of this.people.product.slice(0, signatures)) signed = await addSignature(signed, who, key);
    return signed;
  }

  async upload(...files: Buffer[]): Promise<void> {
    for (const bytes of files) {
      const upload = { sha256: digest(bytes), length: bytes.length, body: Readable.from([bytes]) };
      await receiveUpload(this.deps, upload);
    }
  }

  /** Uploads and publishes; the desk's copy follows only when it was taken. */
  async release(...built: Built[]): Promise<Published> {
    await this.upload(...built.flatMap(({ image, bundle }) => [image, bundle]));
    return this.publishRole(await this.listReleases(built));
  }

  async publishRole(role: Metadata<Targets>, strand: string[] = [], product = PRODUCT): Promise<Published> {
    const published = await this.send({ products: { [product]: text(role) }, strand });
    this.roles.set(product, role);
    return published;
  }

  send(publication: Partial<Publication>): Promise<Published> {
    const whole = {
      roots: [],
      targets: null,
      policy: null,
      sigstoreRoot: null,
      products: {},
      strand: [],
      ...publication,
    };
    return publish(this.deps, whole, { name: 'erin', reason: 'test', source: '127.0.0.1' });
  }

  /** Everything that a refusal must leave as it was: rows, blobs with their digests, staging. */
  async state() {
    const { db } = this.deps;
    return {
      repository: await db.selectFrom('repository').selectAll().execute(),
      releases: await db.selectFrom('releases').selectAll().orderBy('path').execute(),
      products: await db.selectFrom('products').selectAll().orderBy('id').execute(),
      audit: await db.selectFrom('audit').select(['organisation', 'position', 'hash']).execute(),
      blobs: await listFiles(join(this.folder, 'tuf')),
      staging: await listFiles(this.deps.staging),
    };
  }
}

export function text(metadata: Metadata): string {
  return encode(metadata).toString('utf8');
}

export function digest(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function keys(n: number): PrivateKey[] {
  return Array.from({ length: n }, () => generateKey());
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

export const EMPTY_SIGSTORE_ROOT = {
  mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
  tlogs: [],
  certificateAuthorities: [],
  ctlogs: [],
  timestampAuthorities: [],
};
