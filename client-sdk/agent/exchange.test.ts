/** What follows from an answer, and what does not. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Directive } from '../protocol/index.ts';
import { readTimeFloor } from '../trust/index.ts';
import { readState } from './memory.ts';
import { codes, testBench } from './testing/bench.ts';
import type { TestBench } from './testing/bench.ts';
import { TestCharger } from './testing/charger.ts';
import { testClock } from './testing/service.ts';
import type { TestService } from './testing/service.ts';
import type { StreamedAnswer } from './transport.ts';

const HOUR = 60 * 60 * 1000;
let bench: TestBench;
let service: TestService;
let charger: TestCharger;

beforeEach(async () => {
  bench = await testBench();
  ({ service, charger } = bench);
});

const images = (): string[] => service.fetched.filter((path) => path.endsWith('.raucb'));

describe('a directive of a check-in', () => {
  const strange: Record<string, (directive: Directive) => void> = {
    // Only a live confirmation says so, about what is staged.
    'that says activate': (directive) => {
      directive.action = 'activate';
    },
    'that withdraws what the charger never had': (directive) => {
      directive.action = 'withdraw';
      delete directive.target;
    },
  };
  it.each(Object.entries(strange))('%s starts nothing', async (_what, change) => {
    bench.want();
    service.tamper.directive = (directive) => {
      if (directive.action === 'install') change(directive);
    };
    const pass = await charger.passes(() => false);
    expect(pass.job).toBeUndefined();
    expect(codes(pass)).toEqual([]);
    expect(images()).toEqual([]);
    expect(charger.boots).toBe(0);
  });

  it('has its number on the disk, also when it says nothing new', async () => {
    bench.want();
    charger.charging = true;
    let number = 0;
    service.tamper.directive = ({ sequence }) => void (number = sequence);
    for (let i = 0; i < 3; i++) {
      await charger.agent.checkInOnce();
      expect((await readState(charger.files))?.last).toEqual({ epoch: 2, sequence: number });
    }
  });

  it('starts no download once it has expired', async () => {
    bench.want();
    failing((path) => path.endsWith('.raucb'));
    await charger.agent.checkInOnce();
    service.wanted = undefined;
    failing(() => false);
    await service.clock.sleep(HOUR);
    const pass = await charger.agent.checkInOnce();
    expect(pass.job?.progress).toBe('DOWNLOADING');
    expect(images()).toEqual([]);
  });
});

describe('what may pass by itself', () => {
  it.each(['.raucb', '.sigstore.json', '.dc150.json'])('is tried again: 503 for %s', async (ending) => {
    await charger.agent.checkInOnce();
    bench.want();
    failing((path) => path.endsWith(ending));
    for (let i = 0; i < 3; i++) expect((await charger.agent.checkInOnce()).job?.progress).toBe('DOWNLOADING');
    failing(() => false);
    expect((await charger.settle()).job?.progress).toBe('HEALTHY');
  });

  it('is tried so often, and then reported', async () => {
    bench.want();
    failing((path) => path.endsWith('.raucb'));
    let tries = 0;
    while ((await charger.agent.checkInOnce()).job?.progress === 'DOWNLOADING') tries++;
    expect(tries).toBe(20);
    expect((await charger.settle()).job).toMatchObject({ progress: 'FAILED', code: 'DOWNLOAD_FAILED' });
  });
});

describe('a process that starts again', () => {
  it('takes up what was trusted, and asks for none of it again', async () => {
    await charger.agent.checkInOnce();
    charger.kill();
    service.fetched.length = 0;
    await charger.agent.checkInOnce();
    expect(service.fetched).toEqual([]);
    expect(service.checkIns.at(-1)?.marks.timestamp).toBe(service.repository.versions.timestamp);
  });

  it('never has a floor below the one that it is provisioned with, whatever it remembers', async () => {
    bench.want();
    await charger.settle();
    const remembered = (await charger.agent.state()).floor;
    const deps = charger.deps();
    for (const securityFloor of [remembered + 2, remembered - 1]) {
      charger.deps = () => ({ ...deps, identity: { ...deps.identity, securityFloor } });
      charger.kill();
      expect((await charger.agent.state()).floor).toBe(Math.max(remembered, securityFloor));
    }
    await charger.files.remove('agent.json');
    charger.deps = () => ({ ...deps, identity: { ...deps.identity, securityFloor: 7 } });
    charger.kill();
    expect((await charger.agent.state()).floor).toBe(7);
  });

  it('knows a time that has passed, whatever its clock says then', async () => {
    await charger.passes(() => false);
    const said = service.clock.now();
    expect(await readTimeFloor(charger.files, 0)).toBeGreaterThan(said - 6 * HOUR);
    // The device clock never raises it, neither alone nor beside a signed time.
    withClock(Date.parse('2106-02-07T00:00:00Z'));
    for (const online of [false, true]) {
      charger.online = online;
      charger.kill();
      await charger.passes(() => false);
      expect(await readTimeFloor(charger.files, 0)).toBeLessThanOrEqual(service.clock.now());
    }
  });
});

/** From now on the service answers 503 to the paths chosen. */
function failing(chosen: (path: string) => boolean): void {
  const real = TestCharger.prototype.deps.bind(charger);
  charger.deps = () => {
    const { transport, ...deps } = real();
    const get = async (path: string, options?: object): Promise<StreamedAnswer> =>
      chosen(path) ? { status: 503, headers: {}, body: nothing() } : transport.get(path, options);
    return { ...deps, transport: { ...transport, get } };
  };
  charger.kill();
}

function withClock(now: number): void {
  const deps = charger.deps();
  charger.deps = () => ({ ...deps, clock: testClock(now) });
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
