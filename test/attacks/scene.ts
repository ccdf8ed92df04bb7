/**
 * One charger, its service and the line between them, for one play: the real agent, slots and state on a real disk, HTTPS with client
 * certificates on loopback. Everything that people sign is signed by keys that the scene has, so that a play may steal any of them.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Agent,
  httpsTransport,
  imageMirror,
  type ImageSource,
  systemClock,
  type HttpsTransport,
  type Pass,
} from '@tidegate/client-sdk/agent';
import { bootSelect, provisionSlots, slotFiles, type Installer } from '@tidegate/client-sdk/install';
import { parseBootRecord } from '@tidegate/client-sdk/install/boot-record';
import type { Clock, ReleaseTarget, TargetCustom } from '@tidegate/client-sdk/protocol';
import { diskFiles, type Files } from '@tidegate/client-sdk/trust';
import { FACTORY, identityOf } from '../../client-sdk/agent/testing/charger.ts';
import { TestService, testClock } from '../../client-sdk/agent/testing/service.ts';
import type { TestKey } from '../../client-sdk/trust/testing/keys.ts';
import { keyBundle, release, statement, withBundles } from '../../client-sdk/trust/testing/releases.ts';
import { Line, type Certificates } from './line.ts';

/** Check-ins in which any update is through, or stuck. */
const ENOUGH = 12;
const ENDED: ReadonlySet<string> = new Set(['HEALTHY', 'ROLLED_BACK', 'FAILED']);
const IMAGE_BYTES = 20_000;

export interface Publishing {
  image?: Buffer;
  /** What the build attests, where that is not what the engineers sign. */
  attested?: Partial<TargetCustom>;
  /** Who attests. */
  builder?: TestKey;
  /** In place of the attestation. */
  bundles?: (target: ReleaseTarget) => Promise<Buffer[]> | Buffer[];
  /** The path in the role. */
  path?: string;
}

export class Scene {
  /** Of the service, and of the charger unless a play gives it another. */
  readonly clock: Clock & { time: number };
  /** The charger's own. */
  device: Clock & { time: number };
  /** Of its network: bytes arrive in its time. */
  wall: Clock = systemClock;
  readonly service: TestService;
  line: Line;
  readonly folder: string;
  readonly files: Files;
  charging = false;
  healthy = true;
  /** URLs of mirrors. */
  mirrors: string[] = [];
  /** ms that the charger waits for an answer. */
  timeout = 30_000;
  /** Check-ins after the play. */
  patience = ENOUGH;
  #sources: ImageSource[] = [];
  /** Codes of all refusals, in order, each once. */
  codes: string[] = [];
  /** Digests that may be bootable here. */
  readonly allowed = new Set<string>();
  /** Runs between `install` and `activate`, `download` and `install`: a hand on the disk. */
  readonly hands: { beforeInstall?: () => Promise<void>; beforeActivate?: () => Promise<void> } = {};
  #held: Certificates;
  #agent: Agent | undefined;
  #transport: HttpsTransport | undefined;
  #before: string | undefined;
  #clean: (() => Promise<void>)[] = [];

  private constructor(
    clock: Scene['clock'],
    service: TestService,
    line: Line,
    folder: string,
    held: Certificates,
  ) {
    this.clock = clock;
    this.device = clock;
    this.service = service;
    this.line = line;
    this.folder = folder;
    this.files = diskFiles(folder);
    this.#held = held;
  }

  static async open(held: Certificates): Promise<Scene> {
    const clock = testClock();
    const service = new TestService(clock);
    const line = await Line.open(service, held);
    const folder = await mkdtemp(join(tmpdir(), 'tidegate attack '));
    const scene = new Scene(clock, service, line, folder, held);
    await provisionSlots(folder, FACTORY);
    return scene;
  }

  /** What is to be undone at the end, such as a mirror. */
  later(clean: () => Promise<void>): void {
    this.#clean.push(clean);
  }

  /** The service, or whoever plays it, shows other certificates from now on. */
  async show(server: Certificates['server']): Promise<void> {
    this.restart();
    await this.line.close();
    this.line = await Line.open(this.service, { ...this.#held, server });
  }

  /** Another authority is the one that the charger was provisioned with. */
  async provisionWith(held: Certificates): Promise<void> {
    this.#held = held;
    await this.show(held.server);
  }

  async close(): Promise<void> {
    this.restart();
    for (const clean of this.#clean) await clean();
    await this.line.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Signs, attests and publishes an image, as honest people do unless told otherwise. */
  async publish(changes: Partial<TargetCustom> = {}, how: Publishing = {}): Promise<ReleaseTarget> {
    const { service } = this;
    const image = how.image ?? randomBytes(IMAGE_BYTES);
    const plain = { ...release(changes, image), ...(how.path === undefined ? {} : { path: how.path }) };
    const said = statement({ ...plain, custom: { ...plain.custom, ...how.attested } });
    const bundles = (await how.bundles?.(plain)) ?? [keyBundle(how.builder ?? service.builder, said)];
    const target = withBundles(plain, bundles);
    this.list(target);
    service.put(target.path, target.sha256, image);
    for (const [i, side] of target.custom.bundles.entries()) {
      service.put(side.path, side.sha256, bundles[i] ?? Buffer.alloc(0));
    }
    this.allowed.add(target.sha256);
    return target;
  }

  /** Puts a target into the product role, signed by its engineers. */
  list(target: ReleaseTarget): void {
    const { path, length, sha256, custom } = target;
    this.service.repository.productTargets[path] = { length, hashes: { sha256 }, custom };
    this.service.repository.bump('product');
  }

  unlist(target: ReleaseTarget): void {
    delete this.service.repository.productTargets[target.path];
    this.service.repository.bump('product');
  }

  #tries = 0;
  want(target: ReleaseTarget): void {
    this.service.wanted = { assignment: `a-${++this.#tries}`, target };
  }

  /** An honest update to its end. What ran before it does not count any more. */
  async update(changes: Partial<TargetCustom> = {}): Promise<ReleaseTarget> {
    const target = await this.publish(changes);
    this.want(target);
    await this.settle();
    await this.mark();
    return target;
  }

  /** From here on it counts whether the charger stays on what it runs. */
  async mark(): Promise<void> {
    this.codes = [];
    this.#before = await this.running();
  }

  async running(): Promise<string | undefined> {
    const { booted } = await slotFiles(this.folder).status();
    return booted.image?.sha256 ?? undefined;
  }

  async stayed(): Promise<boolean> {
    return (await this.running()) === this.#before;
  }

  /** Whether what is wanted runs, proven healthy. */
  async installed(): Promise<boolean> {
    const { booted, trial } = await slotFiles(this.folder).status();
    return !trial && booted.image?.sha256 === this.service.wanted?.target.sha256;
  }

  /** Bootable bytes that nobody was allowed to make bootable; there must be none. Invariant 1. */
  async unverified(): Promise<string[]> {
    const boot = parseBootRecord(await this.files.read('boot.json'));
    const bad: string[] = [];
    for (const [name, slot] of Object.entries(boot.slots)) {
      if (!slot?.bootable || slot.sha256 === null) continue;
      const digest = createHash('sha256')
        .update(await readFile(join(this.folder, `slot-${name}`)))
        .digest('hex');
      if (digest !== slot.sha256 || !this.allowed.has(digest)) bad.push(`slot ${name}: ${digest}`);
    }
    return bad;
  }

  /** Ends the charger's process; the next pass starts another from the disk. */
  restart(): void {
    this.#agent = undefined;
    for (const source of this.#sources) source.close();
    this.#transport?.close();
    this.#transport = undefined;
  }

  get agent(): Agent {
    this.#agent ??= this.#start();
    return this.#agent;
  }

  async pass(): Promise<Pass> {
    const pass = await this.agent.checkInOnce();
    for (const code of [...pass.refusals.map((refusal) => refusal.code), pass.job?.code]) {
      if (code !== undefined && code !== null && !this.codes.includes(code)) this.codes.push(code);
    }
    return pass;
  }

  /** Until the service has heard how it ended, or nothing can be expected any more. */
  async settle(passes = this.patience): Promise<void> {
    for (let i = 0; i < passes; i++) {
      const pass = await this.pass();
      if (ENDED.has(pass.job?.progress ?? '') && !pass.news) return;
      this.tick(60_000);
    }
  }

  /** Lets time go by for everybody. */
  tick(ms: number): void {
    this.clock.time += ms;
    if (this.device !== this.clock) this.device.time += ms;
  }

  #start(): Agent {
    const { service } = this;
    this.#transport = httpsTransport({
      service: this.line.origin,
      ca: this.#held.ca,
      client: this.#held.charger,
      timeout: this.timeout,
      wall: this.wall,
    });
    this.#sources = this.mirrors.map((url) => imageMirror({ url }));
    return new Agent({
      identity: identityOf(service),
      files: this.files,
      installer: this.#guarded(slotFiles(this.folder)),
      host: {
        isCharging: () => this.charging,
        healthy: async () => this.healthy,
        reboot: async () => void (await bootSelect(this.folder)),
        collect: () => ({ exposure: {}, events: [] }),
      },
      transport: this.#transport,
      mirrors: this.#sources,
      clock: this.device,
      wall: this.wall,
    });
  }

  #guarded(installer: Installer): Installer {
    return {
      ...installer,
      install: async (image) => {
        await this.hands.beforeInstall?.();
        await installer.install(image);
      },
      activate: async (image) => {
        await this.hands.beforeActivate?.();
        await installer.activate(image);
      },
    };
  }
}
