/** A charger around an agent: slot files, a host that does as it is told, and a direct line to a `TestService`. */
import { randomBytes } from 'node:crypto';
import { Refusal } from '../../protocol/index.ts';
import { bootSelect, provisionSlots, slotFiles } from '../../install/index.ts';
import type { Files } from '../../trust/index.ts';
import { Agent } from '../agent.ts';
import type { Pass } from '../pass.ts';
import type { AgentDeps, Identity } from '../context.ts';
import type { HealthMaterial, Host } from '../host.ts';
import type { Transport } from '../transport.ts';
import type { TestService } from './service.ts';

/** Passes in which any update is through, or stuck. */
const ENOUGH = 12;

export class TestCharger implements Host {
  charging = false;
  isHealthy = true;
  online = true;
  boots = 0;
  material: HealthMaterial = { exposure: {}, events: [] };
  readonly files: Files;
  readonly service: TestService;
  #agent: Agent | undefined;

  private constructor(files: Files, service: TestService) {
    this.files = files;
    this.service = service;
  }

  static async provision(files: Files, service: TestService): Promise<TestCharger> {
    await provisionSlots(files, FACTORY);
    return new TestCharger(files, service);
  }

  /** The agent of the process that runs now. */
  get agent(): Agent {
    this.#agent ??= new Agent(this.deps());
    return this.#agent;
  }

  /** Ends the process; the next one starts from what is on the disk. */
  kill(): void {
    this.#agent = undefined;
  }

  deps(): AgentDeps {
    return {
      identity: identityOf(this.service),
      files: this.files,
      installer: slotFiles(this.files),
      host: this,
      transport: directTransport(this.service, () => this.online),
      clock: this.service.clock,
    };
  }

  /** Passes until `done`, or until nothing can be expected any more. */
  async passes(done: (pass: Pass) => boolean): Promise<Pass> {
    for (let i = 0; ; i++) {
      const pass = await this.agent.checkInOnce();
      if (done(pass) || i === ENOUGH) return pass;
      await this.service.clock.sleep(60_000);
    }
  }

  /** Until the service has heard how it ended. */
  settle(): Promise<Pass> {
    return this.passes((pass) => ENDED.has(pass.job?.progress ?? '') && !pass.news);
  }

  /** Version in the slot that runs. */
  async runs(): Promise<string | undefined> {
    return (await slotFiles(this.files).status()).booted.image?.version;
  }

  isCharging(): boolean {
    return this.charging;
  }
  async healthy(): Promise<boolean> {
    return this.isHealthy;
  }
  collect(): HealthMaterial {
    return this.material;
  }
  async reboot(): Promise<void> {
    this.boots++;
    await bootSelect(this.files);
  }
}

const ENDED: ReadonlySet<string> = new Set(['HEALTHY', 'ROLLED_BACK', 'FAILED']);
export const FACTORY = { sha256: null, version: '1.0.0', securityVersion: 1 };

export function identityOf(service: TestService): Identity {
  return {
    organisation: 'acme',
    product: 'acme.dc150',
    hardware: 'dc150-r2',
    serial: 'C-0001',
    securityFloor: 1,
    buildTime: '2026-01-01T00:00:00Z',
    factory: FACTORY,
    healthDeadline: 600,
    healthBin: 3600,
    root: service.repository.file('metadata/1.root.json'),
  };
}

/** Calls the service without a network. */
function directTransport(service: TestService, online: () => boolean): Transport {
  const reach = (): void => {
    if (!online()) throw new Refusal('SERVICE_UNREACHABLE', 'the line is cut');
  };
  return {
    async checkIn(body) {
      reach();
      return service.checkIn(structuredClone(body));
    },
    async confirm(body) {
      reach();
      const answer = service.confirm(body);
      if (!answer) throw new Refusal('SERVICE_UNREACHABLE', '503');
      return answer;
    },
    async get(path) {
      reach();
      const bytes = service.file(path.replace('/tuf/', ''));
      return { status: bytes ? 200 : 404, headers: {}, body: once(bytes) };
    },
    close() {},
  };
}

async function* once(bytes: Buffer | undefined): AsyncGenerator<Uint8Array> {
  if (bytes) yield bytes;
}

export const someImage = (): Buffer => randomBytes(10_000);
