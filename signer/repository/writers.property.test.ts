/**
 * Several writers on one store, killed and interleaved at every operation; some share a record, some have a copy of it that was restored.
 * What readers find is checked after every write.
 */
import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  BlobError,
  type BlobStore,
  memoryBlobs,
  metadataKey,
  putDocuments,
  settleTimestamp,
  targetKey,
  TIMESTAMP_KEY,
} from './index.ts';

const PRODUCTS = ['acme.dc150', 'acme.ac22'];

/** What a database holds: it survives its processes. */
interface Ledger {
  timestamp: Timestamp | null;
  previous: string | null;
  snapshot: Snapshot;
  /** One publication or refresh at a time. */
  lock: Promise<unknown>;
}
interface Timestamp {
  version: number;
  snapshot: { version: number; sha256: string };
}
interface Snapshot {
  roles: Record<string, { version: number; sha256: string }>;
  /** Every publication that this state contains. */
  contains: string[];
}

/** One publication, by a process of its own. */
interface Work {
  ledger: number;
  product: string;
}
interface Plan {
  works: Work[];
  /** By process, the operation at which it dies, and whether that one was still done. */
  crashes: ({ at: number; done: boolean } | null)[];
  /** After how many operations in all the backup is taken; never when it is too large. */
  backupAt: number;
}

class Killed extends Error {}

const plans: fc.Arbitrary<Plan> = fc.record({
  works: fc.array(fc.record({ ledger: fc.nat(1), product: fc.constantFrom(...PRODUCTS) }), {
    minLength: 2,
    maxLength: 6,
  }),
  crashes: fc.array(fc.option(fc.record({ at: fc.nat(14), done: fc.boolean() })), { maxLength: 6 }),
  backupAt: fc.nat(25),
});

it(
  'never loses what was acknowledged, never turns back, and leaves every reader with what it was led to',
  () =>
    fc.assert(
      fc.asyncProperty(fc.scheduler(), plans, async (scheduler, plan) => {
        const world = new World(scheduler, plan);
        await scheduler.waitFor(world.run());
        await world.check();
      }),
      { seed: 20261127, numRuns: 1500 },
    ),
  120_000,
);

class World {
  readonly #inner = memoryBlobs();
  readonly #scheduler: fc.Scheduler;
  readonly #plan: Plan;
  readonly #ledgers: Ledger[] = [emptyLedger()];
  readonly #outcomes: { id: string; ledger: number; outcome: string }[] = [];
  readonly #restored = Promise.withResolvers<undefined>();
  #operations = 0;
  #newest = 0;

  constructor(scheduler: fc.Scheduler, plan: Plan) {
    this.#scheduler = scheduler;
    this.#plan = plan;
  }

  async run(): Promise<void> {
    const works = [...this.#plan.works.entries()];
    const first = works.filter(([, { ledger }]) => ledger === 0).map(([i, work]) => this.#process(work, i));
    // The second ledger is there once the backup was restored; where none was, its processes work with the first.
    const second = works
      .filter(([, { ledger }]) => ledger === 1)
      .map(async ([i, work]) => {
        await Promise.race([this.#restored.promise, Promise.all(first)]);
        await this.#process(work, i);
      });
    await Promise.all([...first, ...second]);
  }

  async #process(work: Work, i: number): Promise<void> {
    const store = this.#store(this.#plan.crashes[i] ?? null);
    const ledger = this.#ledgers[work.ledger] ?? this.#ledgers[0];
    if (ledger === undefined) throw new Error('ledger');
    const id = `publication ${i}`;
    const outcome = await publish(store, ledger, work.product, id).then(
      () => 'published',
      (error: unknown) => {
        if (error instanceof Killed) return 'killed';
        if (error instanceof BlobError && error.code === 'BLOB_CHANGED') return 'fenced';
        if (error instanceof BlobError && error.code === 'BLOB_EXISTS') return 'conflict';
        throw error;
      },
    );
    this.#outcomes.push({ id, ledger: this.#ledgers.indexOf(ledger), outcome });
  }

  /** One process's view of the store: each operation waits for its turn, and may be the last. */
  #store(crash: { at: number; done: boolean } | null): BlobStore {
    let operations = 0;
    const turn = async <T>(label: string, work: () => Promise<T>): Promise<T> => {
      const end = operations++ === crash?.at ? crash : null;
      await this.#scheduler.schedule(Promise.resolve(), label);
      if (end !== null && !end.done) throw new Killed(label);
      const result = await work();
      await this.#observe();
      if (end !== null) throw new Killed(label);
      return result;
    };
    return {
      put: (key, ...rest) => turn(`put ${key}`, () => this.#inner.put(key, ...rest)),
      get: (key, ...rest) => turn(`get ${key}`, () => this.#inner.get(key, ...rest)),
      stat: (key) => turn(`stat ${key}`, () => this.#inner.stat(key)),
      remove: () => Promise.reject(new Error('Nothing is removed.')),
    };
  }

  async #observe(): Promise<void> {
    if (this.#operations++ === this.#plan.backupAt) {
      const [first] = this.#ledgers;
      if (first !== undefined) this.#ledgers[1] = { ...structuredCloneOf(first), lock: Promise.resolve() };
      this.#restored.resolve(undefined);
    }
    const { timestamp } = await walk(this.#inner);
    if (timestamp === undefined) return;
    expect(timestamp.version).toBeGreaterThanOrEqual(this.#newest);
    this.#newest = timestamp.version;
  }

  async check(): Promise<void> {
    // Whoever comes next finishes what was owed.
    const healed = await Promise.allSettled(this.#ledgers.map((ledger) => settle(this.#inner, ledger)));
    const { snapshot } = await walk(this.#inner);
    for (const { id, outcome } of this.#outcomes) {
      if (outcome === 'published') expect(snapshot?.contains).toContain(id);
    }
    // One of them may always go on.
    expect(healed.map(({ status }) => status)).toContain('fulfilled');
    if (this.#ledgers.length > 1) return;
    // Alone, nobody is ever taken for a stranger, whoever was killed where.
    for (const { outcome } of this.#outcomes) expect(['published', 'killed']).toContain(outcome);
  }
}

/** As the service does it: settle, store, look again, commit, settle. */
async function publish(store: BlobStore, ledger: Ledger, product: string, id: string): Promise<void> {
  await locked(ledger, async () => {
    const tag = await settle(store, ledger);
    const role = {
      version: await freeVersion(store, product, (ledger.snapshot.roles[product]?.version ?? 0) + 1),
      bytes: bytesOf({ product, id }),
    };
    const snapshot: Snapshot = {
      roles: { ...ledger.snapshot.roles, [product]: { version: role.version, sha256: digest(role.bytes) } },
      contains: [...ledger.snapshot.contains, id],
    };
    const bytes = bytesOf(snapshot);
    const last = ledger.timestamp?.snapshot.version ?? 0;
    const version = await freeVersion(store, 'snapshot', last + 1);
    const image = Buffer.from(id);
    await putDocuments(store, {
      files: [{ path: `${product}/image`, sha256: digest(image), length: image.length, open: () => image }],
      products: new Map([[product, role]]),
      snapshot: { version, bytes },
      roots: [],
    });
    if (((await store.stat(TIMESTAMP_KEY))?.etag ?? null) !== tag) {
      throw new BlobError('BLOB_CHANGED', TIMESTAMP_KEY);
    }
    ledger.previous = ledger.timestamp && digest(bytesOf(ledger.timestamp));
    ledger.timestamp = {
      version: (ledger.timestamp?.version ?? 0) + 1,
      snapshot: { version, sha256: digest(bytes) },
    };
    ledger.snapshot = snapshot;
  });
  await locked(ledger, () => settle(store, ledger));
}

function settle(store: BlobStore, { timestamp, previous }: Ledger): Promise<string | null> {
  return settleTimestamp(store, timestamp && { current: bytesOf(timestamp), previous });
}

async function freeVersion(store: BlobStore, role: string, from: number): Promise<number> {
  let version = from;
  while ((await store.stat(metadataKey(role, version))) !== undefined) version++;
  return version;
}

function locked<T>(ledger: Ledger, work: () => Promise<T>): Promise<T> {
  const mine = ledger.lock.then(work, work);
  ledger.lock = mine.catch(() => undefined);
  return mine;
}

/** Everything that the timestamp leads to is there, and is what it says. */
async function walk(store: BlobStore): Promise<{ timestamp?: Timestamp; snapshot?: Snapshot }> {
  const text = await read(store, TIMESTAMP_KEY);
  if (text === undefined) return {};
  const timestamp = JSON.parse(text) as Timestamp;
  const must = async (role: string, meta: { version: number; sha256: string }): Promise<string> => {
    const found = (await read(store, metadataKey(role, meta.version))) ?? '';
    expect(digest(found)).toBe(meta.sha256);
    return found;
  };
  const snapshot = JSON.parse(await must('snapshot', timestamp.snapshot)) as Snapshot;
  for (const [product, meta] of Object.entries(snapshot.roles)) {
    const { id } = JSON.parse(await must(product, meta)) as { id: string };
    expect(await read(store, targetKey(`${product}/image`, digest(id)))).toBe(id);
  }
  return { timestamp, snapshot };
}

async function read(store: BlobStore, key: string): Promise<string | undefined> {
  const blob = await store.get(key);
  return blob && Buffer.concat(await blob.body.toArray()).toString('utf8');
}

function emptyLedger(): Ledger {
  return {
    timestamp: null,
    previous: null,
    snapshot: { roles: {}, contains: [] },
    lock: Promise.resolve(),
  };
}

function structuredCloneOf({ timestamp, previous, snapshot }: Ledger): Omit<Ledger, 'lock'> {
  return structuredClone({ timestamp, previous, snapshot });
}

function bytesOf(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function digest(value: string | Uint8Array): string {
  return createHash('sha256').update(value).digest('hex');
}
