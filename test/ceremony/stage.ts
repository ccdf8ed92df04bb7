/** People on machines of their own (folders), a service with a real database behind HTTPS, and chargers that follow it with the SDK's code. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Refusal } from '@tidegate/client-sdk/protocol';
import { refreshTrust, type TrustResult, verifyDirective } from '@tidegate/client-sdk/trust';
import { openKeyFile, type Signer } from '@tidegate/signer/keys';
import { fileBlobs } from '@tidegate/signer/repository';
import { memoryFiles } from '../../client-sdk/trust/testing/memory-files.ts';
import type { Db } from '../../server/db/index.ts';
import { signDirective } from '../../server/device/directive.ts';
import { TestService } from '../../server/operator/service.fixture.ts';
import { bootstrapRepository, type PublishingDeps, refreshOnline } from '../../server/publishing/index.ts';
import { runTidegate } from '../../tidegate.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
export const PRODUCT = 'acme.dc150';
/** Where the service runs; its keys are made there. */
const SERVICE = 'ann';

export class Stage {
  readonly folder: string;
  readonly #db: () => Promise<Db>;
  now = Date.parse('2026-11-22T12:00:00Z');
  #service: { api: TestService; publishing: PublishingDeps; credential: string } | undefined;
  readonly #chargers = new Map<string, Charger>();

  private constructor(folder: string, db: () => Promise<Db>) {
    this.folder = folder;
    this.#db = db;
  }

  /** @param db an empty one, where it is needed. */
  static async open(db: () => Promise<Db>): Promise<Stage> {
    return new Stage(await mkdtemp(join(tmpdir(), 'tidegate ceremony ')), db);
  }

  machine(name: string): string {
    return join(this.folder, name);
  }

  /** `tidegate …words` on somebody's machine. */
  async tidegate(who: string, words: string[]): Promise<string[]> {
    await mkdir(this.machine(who), { recursive: true });
    const lines: string[] = [];
    const exit = await runTidegate(words, {
      out: (line) => lines.push(line),
      err: (line) => lines.push(line),
      json: false,
      env: {
        TIDEGATE_PASSPHRASE: `passphrase of ${who}`,
        ...(this.#service === undefined ? {} : { TIDEGATE_CREDENTIAL: this.#service.credential }),
      },
      cwd: this.machine(who),
      tty: false,
      clock: { now: () => this.now, sleep: () => Promise.resolve() },
      scryptCost: { N: 16, r: 1, p: 1 },
    });
    return exit === 0 ? lines : [...lines, `(exit code ${exit})`];
  }

  async give(file: string, from: string, to: string, as: string): Promise<void> {
    await mkdir(this.machine(to), { recursive: true });
    await copyFile(join(this.machine(from), file), join(this.machine(to), as));
  }

  pass(days: number): void {
    this.now += days * DAY_MS;
  }

  /** The service as `tidegate start` composes it, as far as publishing goes. */
  async startService(): Promise<void> {
    const db = await this.#db();
    const publishing = await this.#publishing(db);
    const api = await TestService.start(db, async () => {
      await bootstrapRepository(publishing, join(this.#state, 'initial'));
      return publishing;
    });
    const credential = await api.credentialFile('erin', await api.listenTls());
    this.#service = { api, publishing, credential };
  }

  /** With the keys that lie there now. */
  async restartService(): Promise<void> {
    const { publishing } = this.#running;
    Object.assign(publishing.keys, (await this.#publishing(publishing.db)).keys);
    await refreshOnline(publishing);
  }

  /** What it does by itself meanwhile: fresh snapshot and timestamp. */
  async refreshService(): Promise<void> {
    await refreshOnline(this.#running.publishing);
  }

  /** A charger leaves the factory with the newest root. */
  async build(name: string, product: string): Promise<void> {
    const root = await this.#fetch('metadata/1.root.json');
    if (root === undefined) throw new Error('There is no root.');
    this.#chargers.set(name, { root, product, files: memoryFiles(), trust: undefined, last: undefined });
  }

  /** What a charger trusts after a refresh from what it has, or why it refuses. */
  async refresh(name: string): Promise<string> {
    const charger = this.charger(name);
    try {
      const { root, product, files } = charger;
      charger.trust = await refreshTrust({
        files,
        fetch: (path) => this.#fetch(path),
        now: this.now,
        provisioning: { root, product },
      });
      const { set, policy } = charger.trust;
      return `it trusts root ${set.root.version}, targets ${set.targets.version}, ${product} ${set.productRole(product).version}, policy ${policy.version}`;
    } catch (error) {
      if (error instanceof Refusal) return `it refuses: ${error.code}`;
      throw error;
    }
  }

  charger(name: string): Charger {
    const charger = this.#chargers.get(name);
    if (charger === undefined) throw new Error(`No charger ${name}.`);
    return charger;
  }

  /** Whether a charger takes a directive signed with this key file of the service. */
  async direct(name: string, keyFile: string, epoch: number): Promise<string> {
    const charger = this.charger(name);
    if (charger.trust === undefined) throw new Error('It has not refreshed yet.');
    const key = await this.#key(keyFile);
    const nonce = 'n'.repeat(43);
    const to = { organisation: 'acme', serial: name, nonce, epoch, sequence: Math.floor(this.now / 1000) };
    const wish = { action: 'none' as const, reason: 'nothing to do' };
    const envelope = await signDirective(key, to, wish, this.now);
    try {
      const { policy } = charger.trust;
      const context = {
        policy,
        organisation: 'acme',
        serial: name,
        nonce,
        now: this.now,
        last: charger.last,
      };
      charger.last = verifyDirective(envelope, context);
      return 'it follows';
    } catch (error) {
      if (error instanceof Refusal) return `it refuses: ${error.code}`;
      throw error;
    }
  }

  /** Lets something be changed in a file, as somebody on its way would. */
  async change(who: string, file: string, edit: (text: string) => string): Promise<void> {
    const path = join(this.machine(who), file);
    await writeFile(path, edit(await readFile(path, 'utf8')));
  }

  async close(): Promise<void> {
    await this.#service?.api.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  get #state(): string {
    return join(this.machine(SERVICE), '.tidegate', 'service');
  }

  get #running() {
    if (this.#service === undefined) throw new Error('The service does not run.');
    return this.#service;
  }

  async #publishing(db: Db): Promise<PublishingDeps> {
    return {
      organisation: 'acme',
      db,
      blobs: fileBlobs(join(this.#state, 'tuf')),
      staging: join(this.#state, 'staging'),
      keys: { snapshot: await this.#key('snapshot'), timestamp: await this.#key('timestamp') },
      clock: { now: () => this.now, sleep: () => Promise.resolve() },
    };
  }

  async #key(name: string): Promise<Signer> {
    const folder = join(this.#state, 'online');
    const passphrase = (await readFile(join(folder, 'passphrase'), 'utf8')).trim();
    return openKeyFile(join(folder, `${name}.key.json`), passphrase);
  }

  async #fetch(path: string): Promise<Uint8Array | undefined> {
    return readFile(join(this.#state, 'tuf', path)).catch(() => undefined);
  }
}

interface Charger {
  root: Uint8Array;
  product: string;
  files: ReturnType<typeof memoryFiles>;
  trust: TrustResult | undefined;
  last: { epoch: number; sequence: number } | undefined;
}
