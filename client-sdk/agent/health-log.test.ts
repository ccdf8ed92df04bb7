import { beforeEach, describe, expect, it } from 'vitest';
import { testBench } from './testing/bench.ts';
import type { TestBench } from './testing/bench.ts';
import type { TestCharger } from './testing/charger.ts';
import type { TestService } from './testing/service.ts';
let bench: TestBench;
let service: TestService;
let charger: TestCharger;

beforeEach(async () => {
  bench = await testBench();
  ({ service, charger } = bench);
});

describe('health', () => {
  it('is reported once, in numbered bins that never span an activation', async () => {
    await charger.agent.checkInOnce();
    await service.clock.sleep(60_000);
    bench.want();
    await charger.settle();
    await service.clock.sleep(2 * 3600_000);
    charger.material = {
      exposure: { chargerHours: 2 },
      events: [{ at: '2026-11-22T13:00:00.000Z', signal: 'fault', code: 'GroundFailure' }],
    };
    await charger.agent.checkInOnce();
    const reports = service.checkIns.flatMap((checkIn) => checkIn.reports);
    const numbers = reports.map((report) => report.sequence);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(reports[0]?.sha256).toBeNull();
    expect(reports.at(-1)?.sha256).toBe(service.wanted?.target.sha256);
    expect(reports.at(-1)?.events[0]?.code).toBe('GroundFailure');
  });

  it('leaves out the boot that the update causes', async () => {
    await charger.agent.checkInOnce();
    await service.clock.sleep(60_000);
    bench.want();
    const reboot = charger.reboot.bind(charger);
    charger.reboot = async () => {
      await service.clock.sleep(300_000);
      await reboot();
    };
    await charger.settle();
    await service.clock.sleep(2 * 3600_000);
    await charger.agent.checkInOnce();
    const [before, after] = service.checkIns.flatMap((checkIn) => checkIn.reports);
    expect(Date.parse(after?.from ?? '') - Date.parse(before?.to ?? '')).toBeGreaterThanOrEqual(300_000);
  });

  it('survives a restart and an outage', async () => {
    await charger.agent.checkInOnce();
    charger.online = false;
    charger.material = { exposure: { chargerHours: 1 }, events: [] };
    for (let hour = 0; hour < 5; hour++) {
      await service.clock.sleep(3600_000);
      await charger.agent.checkInOnce();
    }
    charger.kill();
    charger.online = true;
    await charger.agent.checkInOnce();
    expect(service.checkIns.at(-1)?.reports.map((report) => report.sequence)).toEqual([1, 2, 3, 4, 5]);
    await charger.agent.checkInOnce();
    expect(service.checkIns.at(-1)?.reports).toEqual([]);
  });

  it.each([
    ['forwards', 56 * 365 * 24],
    ['backwards', -5],
  ])('has no bin that spans a jump of the clock %s', async (_, hours) => {
    charger.material = { exposure: { chargerHours: 0.5 }, events: [] };
    await charger.agent.checkInOnce();
    await service.clock.sleep(1_800_000);
    await charger.agent.checkInOnce();
    const before = service.clock.now();
    await service.clock.sleep(hours * 3600_000);
    await charger.agent.checkInOnce();
    const after = service.clock.now();
    await service.clock.sleep(3600_000);
    await charger.agent.checkInOnce();
    const reports = service.checkIns.flatMap((checkIn) => checkIn.reports);
    expect(reports.map(({ from, to }) => [Date.parse(from), Date.parse(to)])).toEqual([
      [before - 1_800_000, before],
      [after, after + 3600_000],
    ]);
  });

  it('begins its numbers anew where they stand at the end of all numbers', async () => {
    await charger.agent.checkInOnce();
    const kept = JSON.parse((await charger.files.read('health.json'))!.toString()) as { sequence: number };
    kept.sequence = Number.MAX_SAFE_INTEGER;
    await charger.files.write('health.json', Buffer.from(JSON.stringify(kept)));
    charger.kill();
    for (let i = 0; i < 2; i++) {
      await service.clock.sleep(2 * 3600_000);
      await charger.agent.checkInOnce();
    }
    expect(service.checkIns.at(-1)?.reports.map((report) => report.sequence)).toEqual([1]);
  });

  it('raises an alarm over a forged directive', async () => {
    await charger.agent.checkInOnce();
    service.tamper.directive = (directive) => {
      directive.serial = 'C-0002';
    };
    await charger.agent.checkInOnce();
    service.tamper = {};
    await service.clock.sleep(3600_000);
    await charger.agent.checkInOnce();
    expect(service.checkIns.at(-1)?.reports[0]?.events).toMatchObject([
      { signal: 'security', code: 'DIRECTIVE_NOT_MINE' },
    ]);
  });
});
