import { beforeEach, expect, it } from 'vitest';
import type { Clock } from '../protocol/index.ts';
import { Refusal } from '../protocol/index.ts';
import { Agent } from './agent.ts';
import { systemClock } from './clock.ts';
import { testBench } from './testing/bench.ts';
import type { TestBench } from './testing/bench.ts';
import { testClock } from './testing/service.ts';
import { ServiceRefusal } from './transport.ts';

let bench: TestBench;
/** Seconds slept on the fleet's clock and on the wall's. */
let fleet: number[];
let wall: number[];

beforeEach(async () => {
  bench = await testBench();
  fleet = [];
  wall = [];
});

const noting = (clock: Clock, slept: number[]): Clock => ({
  now: () => clock.now(),
  async sleep(ms, signal) {
    signal?.throwIfAborted();
    slept.push(ms / 1000);
    await clock.sleep(ms, signal);
  },
});

/** Runs the agent until its charger has checked in, or tried to, so many times. */
async function run(checkIns: number, failure?: () => Error): Promise<void> {
  const stop = new AbortController();
  const deps = bench.charger.deps();
  let left = checkIns;
  const agent = new Agent({
    ...deps,
    clock: noting(bench.service.clock, fleet),
    // A download measures its rate by the wall's clock, which must be a real one then.
    wall: failure ? noting(testClock(), wall) : systemClock,
    random: (bytes) => Buffer.alloc(bytes, 0x80),
    transport: {
      ...deps.transport,
      async checkIn(body) {
        if (--left === 0) stop.abort();
        if (failure) throw failure();
        return deps.transport.checkIn(body);
      },
    },
  });
  await agent.run(stop.signal);
}

it('checks in as far apart as it is told, stretched at random', async () => {
  await run(4);
  expect(fleet).toHaveLength(3);
  for (const pause of fleet) expect(Math.round(pause)).toBe(Math.round(900 * 1.05));
});

it('tells at once what changed, and nothing faster than that', async () => {
  bench.want();
  await run(5);
  expect((await bench.charger.agent.state()).job?.phase).toBe('HEALTHY');
  // The first check-in brings the image, the second tells that it is healthy; the others come as far apart as told.
  expect(fleet).toHaveLength(3);
});

it('is patient with a service that does not answer', async () => {
  await run(13, () => new Refusal('SERVICE_UNREACHABLE', 'nobody there'));
  expect(wall.slice(0, 4).map(Math.round)).toEqual([1, 2, 4, 8]);
  expect(Math.round(wall.at(-1) ?? 0)).toBe(Math.round(900 * 1.05));
  expect(fleet).toEqual([]);
});

it('waits as long as a busy service asks for', async () => {
  await run(2, () => new ServiceRefusal('busy', { status: 503, retryAfter: 120 }));
  expect(wall.map(Math.round)).toEqual([126]);
});

it('looks after a trial boot while it waits, with no service at all', async () => {
  bench.want();
  bench.charger.isHealthy = false;
  await bench.charger.passes((pass) => pass.job?.progress === 'INSTALLING');
  bench.charger.kill();
  bench.charger.online = false;
  await run(3);
  expect(await bench.charger.runs()).toBe('1.0.0');
});
