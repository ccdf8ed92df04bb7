import { beforeEach, describe, expect, it } from 'vitest';
import { bootSelect } from '../install/index.ts';
import type { MemoryFiles } from '../trust/testing/memory-files.ts';
import { testBench } from './testing/bench.ts';
import type { TestBench } from './testing/bench.ts';
import type { TestCharger } from './testing/charger.ts';
import { testClock } from './testing/service.ts';
import type { TestService } from './testing/service.ts';
let bench: TestBench;
let service: TestService;
let files: MemoryFiles;
let charger: TestCharger;

beforeEach(async () => {
  bench = await testBench();
  ({ service, files, charger } = bench);
});

describe('an update', () => {
  it('goes from check-in to a committed image, and says so', async () => {
    bench.want();
    const pass = await charger.settle();
    expect(pass.job).toEqual({ assignment: 'a-1.2.0', progress: 'HEALTHY', code: null });
    expect(await charger.runs()).toBe('1.2.0');
    expect(charger.boots).toBe(1);
    expect(bench.progress().at(-1)).toBe('HEALTHY');
    expect(service.checkIns.at(-1)?.running.version).toBe('1.2.0');
    await bootSelect(files);
    expect(await charger.runs()).toBe('1.2.0');
  });

  it('goes forward again, and back along the signed fallback without a download', async () => {
    bench.want('1.2.0');
    const older = service.wanted?.target;
    await charger.settle();
    bench.want('1.3.0', {
      fallback: [
        { path: older?.path ?? '', sha256: older?.sha256 ?? '', expires: '2027-01-01T00:00:00Z', auto: true },
      ],
    });
    await charger.settle();
    expect(await charger.runs()).toBe('1.3.0');
    service.fetched.length = 0;
    if (older) service.wanted = { assignment: 'a-1.3.0.back', target: older };
    const pass = await charger.settle();
    expect(pass.job?.progress).toBe('HEALTHY');
    expect(await charger.runs()).toBe('1.2.0');
    expect(service.fetched.filter((path) => path.endsWith('.raucb'))).toEqual([]);
  });

  it('is told at once that it runs already', async () => {
    bench.want();
    await charger.settle();
    if (service.wanted) service.wanted = { ...service.wanted, assignment: 'again' };
    const pass = await charger.settle();
    expect(pass.job).toEqual({ assignment: 'again', progress: 'HEALTHY', code: null });
    expect(charger.boots).toBe(1);
  });

  it('takes no harm from an answer that comes twice, and does nothing twice', async () => {
    bench.want();
    service.insists = true;
    await charger.settle();
    for (let i = 0; i < 3; i++) await charger.agent.checkInOnce();
    expect(charger.boots).toBe(1);
    expect(service.checkIns.at(-1)?.assignment?.progress).toBe('HEALTHY');
  });

  it('that failed is tried again when the service heard of it and offers it all the same', async () => {
    bench.want('1.2.0', { securityVersion: 0 });
    expect((await charger.settle()).job?.code).toBe('BELOW_FLOOR');
    service.insists = true;
    bench.want('1.2.0');
    expect((await charger.passes((pass) => pass.job?.progress === 'HEALTHY')).job?.progress).toBe('HEALTHY');
  });

  it('asks for one thing only when nothing changed', async () => {
    // The time floor rises in bounded steps, each of them written.
    await charger.passes(() => false);
    service.fetched.length = 0;
    const before = files.changes;
    for (let i = 0; i < 5; i++) await charger.agent.checkInOnce();
    expect(service.fetched).toEqual([]);
    expect(files.changes).toBe(before);
  });
});

it('the number of a directive is on the disk before anything is done about it', async () => {
  bench.want();
  await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
  charger.kill();
  // One check-in, one confirmation.
  expect((await charger.agent.state()).last).toEqual({ epoch: 2, sequence: 2 });
});

describe('time', () => {
  it.each(['1970-01-01T00:00:00Z', '2106-02-07T00:00:00Z'])(
    'is had from the service by a clock at %s',
    async (wrong) => {
      const broken = testClock(Date.parse(wrong));
      const { clock: right } = service;
      bench.want();
      charger.deps = ((deps) => () => ({ ...deps(), clock: broken }))(charger.deps.bind(charger));
      const pass = await charger.settle();
      expect(pass.job?.progress).toBe('HEALTHY');
      expect(right.now()).toBeGreaterThan(0);
    },
  );
});
