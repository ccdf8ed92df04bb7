/** People with keys in hand, documents, and a charger that walks them; for tests. */
import { sign } from 'node:crypto';
import type { ProductPolicy } from '@tidegate/client-sdk/protocol';
import { canonicalBytes, TrustedSet } from '@tidegate/client-sdk/trust';
import { generateKey, hintOf, type PrivateKey } from '../keys/index.ts';
import { encode, type Metadata, newSnapshot, newTimestamp, type Root } from '../repository/index.ts';
import {
  type Authority,
  authorityOf,
  type Change,
  type CeremonyFile,
  checkCeremony,
  emptyAuthority,
  finishCeremony,
  firstCeremony,
  type Holder,
  productsIn,
  signCeremony,
  startCeremony,
  type TrustState,
} from './index.ts';
import { afterState } from './check.ts';

export const NOW = Date.parse('2026-11-22T12:00:00Z');
export const PRODUCT = 'acme.dc150';
const SIGSTORE_ROOT = `${JSON.stringify({
  mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
  tlogs: [],
  certificateAuthorities: [],
  ctlogs: [],
  timestampAuthorities: [],
})}\n`;

export class World {
  /** Every key that was ever made here, by its id. */
  readonly keys = new Map<string, PrivateKey>();
  readonly build = generateKey('ecdsa-sha2-nistp256');
  readonly snapshot = this.key();
  readonly timestamp = this.key();
  readonly director = this.key();
  state!: TrustState;
  /** Every root so far, oldest first. */
  readonly roots: Metadata<Root>[] = [];

  /** Ann, Ben and Cat, two of whom sign; and a product of all three. */
  static async open(): Promise<World> {
    const world = new World();
    const people = ['ann', 'ben', 'cat'].map((name) => world.holder(name));
    const first = firstCeremony(
      world.nobody(),
      {
        changes: [
          ...people.map((holder): Change => ({ kind: 'add-person', holder, roles: ['root', 'targets'] })),
          { kind: 'add-product', product: PRODUCT, holders: people, threshold: 2, policy: world.policy() },
        ],
        renew: [],
        reason: 'we begin',
      },
      NOW,
    );
    await world.finish(await world.signAll(first));
    return world;
  }

  key(): PrivateKey {
    const key = generateKey();
    this.keys.set(key.keyId, key);
    return key;
  }

  holder(name: string): Holder {
    return { name, key: this.key() };
  }

  /** The key that somebody has in a role. */
  keyOf(name: string, role = 'root'): PrivateKey {
    const authority = authorityOf(this.state);
    const keyId = authority.roles.get(role)?.keyids.find((id) => authority.people.get(id) === name);
    const key = this.keys.get(keyId ?? '');
    if (key === undefined) throw new Error(`${name} has no key in ${role}.`);
    return key;
  }

  policy(): ProductPolicy {
    const { publicKey } = this.build;
    return {
      builders: [{ kind: 'key', keyId: hintOf(publicKey), publicKey, state: 'active' }],
      logs: 0,
      timestamps: 0,
      securityVersionCap: 1000,
      emergencyFloor: 0,
    };
  }

  start(changes: Change[], renew: string[] | 'all' = []): CeremonyFile {
    return startCeremony(this.state, { changes, renew, reason: 'a test' }, NOW);
  }

  /** By everybody whose key is known and has a part in it. */
  async signAll(file: CeremonyFile): Promise<CeremonyFile> {
    const checked = checkCeremony(file, this.state, NOW);
    const keyIds = new Set(
      checked.documents.flatMap(({ quorums }) => quorums.flatMap(({ role }) => role.keyids)),
    );
    return this.sign(file, ...[...keyIds].flatMap((keyId) => this.keys.get(keyId) ?? []));
  }

  async sign(file: CeremonyFile, ...keys: PrivateKey[]): Promise<CeremonyFile> {
    let signed = file;
    for (const key of keys)
      ({ file: signed } = await signCeremony(checkCeremony(signed, this.state, NOW), key));
    return signed;
  }

  /** As `ceremony finish` does. */
  async finish(file: CeremonyFile): Promise<void> {
    finishCeremony(checkCeremony(file, this.state, NOW));
    const after = afterState(file);
    const products = { ...this.state?.products, ...after.products };
    const delegated = productsIn(authorityOf(after));
    this.state = {
      ...after,
      products: Object.fromEntries(Object.entries(products).filter(([name]) => delegated.includes(name))),
    };
    if (file.after.root !== undefined) this.roots.push(file.after.root);
  }

  /** A charger that was built with the root of that number, and has slept since. @throws Refusal */
  walk(from = 0): TrustedSet {
    const [first, ...later] = this.roots.slice(from);
    if (first === undefined) throw new Error('No such root.');
    const set = TrustedSet.start(encode(first));
    for (const root of later) set.updateRoot(encode(root));
    const { targets, products } = this.state;
    const roles = new Map(Object.entries(products).map(([name, role]) => [name, encode(role)]));
    const snapshot = this.#signed(newSnapshot({ targets, products: roles }, 1, NOW), this.snapshot);
    set.updateTimestamp(this.#signed(newTimestamp(snapshot, 1, NOW), this.timestamp), NOW);
    set.updateSnapshot(snapshot, NOW);
    set.updateTargets(encode(targets), NOW);
    for (const [name, bytes] of roles) set.updateProductRole(name, bytes, NOW);
    return set;
  }

  nobody(): Authority {
    return emptyAuthority('acme', this, SIGSTORE_ROOT);
  }

  #signed(metadata: Metadata, key: PrivateKey): Buffer {
    const sig = signWith(key, metadata);
    return encode({ signed: metadata.signed, signatures: [{ keyid: key.keyId, sig }] });
  }
}

function signWith({ privateKey }: PrivateKey, { signed }: Metadata): string {
  return sign(null, canonicalBytes(signed), privateKey).toString('hex');
}
