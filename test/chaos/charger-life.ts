/** A charger's life in chapters, each an update that can be begun again and again from the same disk. */
import { readState } from '@tidegate/client-sdk/agent/memory';
import type { AgentState } from '@tidegate/client-sdk/agent';
import type { RefusalCode, ReleaseTarget, TargetCustom } from '@tidegate/client-sdk/protocol';
import { FACTORY, someImage, TestCharger } from '../../client-sdk/agent/testing/charger.ts';
import { TestService, testClock } from '../../client-sdk/agent/testing/service.ts';
import { memoryFiles } from '../../client-sdk/trust/testing/memory-files.ts';
import type { MemoryFiles } from '../../client-sdk/trust/testing/memory-files.ts';

export interface Chapter {
  target: ReleaseTarget;
  /** Whether the image proves healthy. */
  healthy: boolean;
  /** Version that runs at the end. */
  ends: string;
  /** The disk at the beginning. */
  disk: ReadonlyMap<string, Buffer>;
  /** `timestamp.json` of before the chapter. */
  older: string;
}

export class ChargerLife {
  readonly service: TestService;
  readonly #clock = testClock();
  readonly #start = this.#clock.time;
  #disk: ReadonlyMap<string, Buffer> = new Map();
  #tries = 0;

  constructor() {
    this.service = new TestService(this.#clock);
  }

  /** Publishes an image for the next chapter, and plays it undisturbed. */
  async update(
    release: Partial<TargetCustom>,
    { healthy = true, ends = release.version ?? '' } = {},
  ): Promise<Chapter> {
    const older = this.#timestamp();
    return this.#play({
      target: this.service.publish(someImage(), release),
      older,
      healthy,
      ends,
      disk: this.#disk,
    });
  }

  /** The next chapter is about an image that is published already. */
  async goBack(target: ReleaseTarget): Promise<Chapter> {
    const older = this.#timestamp();
    this.service.repository.bump();
    return this.#play({ target, older, healthy: true, ends: target.custom.version, disk: this.#disk });
  }

  /** The charger at the beginning of a chapter; each time it is another assignment. */
  async open({ target, healthy, disk }: Chapter): Promise<{ charger: TestCharger; files: MemoryFiles }> {
    const { service } = this;
    this.#clock.time = this.#start;
    service.wanted = { assignment: `try-${++this.#tries}`, target };
    service.insists = false;
    service.checkIns.length = service.confirms.length = service.fetched.length = 0;
    const files = memoryFiles(disk);
    const charger = await TestCharger.provision(files, service);
    charger.isHealthy = healthy;
    return { charger, files };
  }

  /** Whether the charger has said, or shown by what it fetched, that it trusts the newest metadata. */
  trustsNewest(): boolean {
    const { checkIns, fetched, repository } = this.service;
    const said = checkIns.some(({ marks }) => marks.timestamp === repository.versions.timestamp);
    return said || fetched.some((path) => path.endsWith('.raucb'));
  }

  /** What a copy of the charger with this disk says to the metadata of before the chapter. */
  async toOlderMetadata(files: MemoryFiles, { older }: Chapter): Promise<RefusalCode[]> {
    const { service } = this;
    const { wanted } = service;
    const copy = await TestCharger.provision(memoryFiles(files.contents), service);
    copy.charging = true;
    service.wanted = undefined;
    service.tamper.answer = (answer) => {
      answer.timestamp = older;
    };
    const { refusals } = await copy.agent.checkInOnce();
    service.tamper = {};
    service.wanted = wanted;
    return refusals.map(({ code }) => code);
  }

  async #play(chapter: Chapter): Promise<Chapter> {
    const { charger, files } = await this.open(chapter);
    await charger.settle();
    this.#disk = files.contents;
    return chapter;
  }

  #timestamp(): string {
    return this.service.repository.file('metadata/timestamp.json').toString('utf8');
  }
}

/** What the charger remembers, or was provisioned with. */
export async function stateOn(
  disk: ReadonlyMap<string, Buffer>,
): Promise<Pick<AgentState, 'floor' | 'fellBackFrom'>> {
  return (await readState(memoryFiles(disk))) ?? { floor: FACTORY.securityVersion, fellBackFrom: [] };
}
