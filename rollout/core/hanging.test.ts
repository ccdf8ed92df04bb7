import { describe, expect, it } from 'vitest';
import { HOUR, must, observation, running } from './testing.ts';
import type { Observation, Rollout, SignalBin, TreatedCharger } from './types.ts';

/** So many faults an hour of each charger, beside 40 untreated ones with one fault each four hours. */
function told(faults: readonly number[], hours: number, steps?: Observation['steps']): Observation {
  const bins = Array.from({ length: hours }, (_, hour): SignalBin => {
    const treatedEvents = faults.reduce((sum, each) => sum + each, 0);
    const exposure = { treatedExposure: faults.length, controlEvents: 10, controlExposure: 40 };
    return { signal: 'fault', from: hour * HOUR, treatedEvents, ...exposure };
  });
  const treated = faults.map((count, i): TreatedCharger => {
    const who = { signal: 'fault' as const, serial: `C-${i}`, site: `site-${i % 3}` };
    const time = { exposure: hours, from: 0, to: hours * HOUR };
    return { ...who, ...time, events: bins.map(({ from }) => ({ from, count })) };
  });
  return { ...observation(steps === undefined ? {} : { steps }), bins, treated };
}

const LIAR = [4, 0.25, 0.25, 0.25];

function look(rollout: Rollout, hours: number, faults: readonly number[] = LIAR) {
  return must(rollout, { kind: 'tick', observation: told(faults, hours) }, hours * HOUR);
}

function resumed(rollout: Rollout, hours: number): Rollout {
  return must(rollout, { kind: 'resume', by: 'bob', reason: 'seen' }, hours * HOUR).rollout;
}

/** All of the canary have the release, so that nobody else can bear anything out. */
function soaking(): Rollout {
  const rollout = running();
  return {
    ...rollout,
    steps: rollout.steps.map((step, i) => (i === 0 ? { ...step, status: 'SOAKING' } : step)),
  };
}

describe('evidence that hangs on one charger while its step is still filling', () => {
  const two = { steps: [{ counts: { HEALTHY: 2, WAITING_WINDOW: 2 }, treatedChargerHours: 4 }] };
  const filling = (rollout: Rollout, hours: number, faults: readonly number[]) =>
    must(rollout, { kind: 'tick', observation: told(faults, hours, two.steps) }, hours * HOUR);

  it('is told once, and does not keep out the chargers that could bear it out', () => {
    const first = filling(running(), 4, [8, 1]);
    expect(first.rollout.status).toBe('RUNNING');
    expect(first.notes).toEqual([expect.stringContaining('C-0 at site-0')]);
    const second = filling(first.rollout, 5, [8, 1]);
    expect([second.rollout, second.notes]).toEqual([first.rollout, []]);
    expect(filling(second.rollout, 8, [8, 6, 6, 6]).rollout).toMatchObject({
      status: 'HALTED',
      rollBackNext: true,
    });
  });

  it('pauses all the same once the step is full and nobody bore it out', () => {
    const first = filling(running(), 4, [8, 0.25]);
    const full = [{ counts: { HEALTHY: 4 }, treatedChargerHours: 16 }];
    const soaks = must(first.rollout, { kind: 'tick', observation: told(LIAR, 5, full) }, 5 * HOUR);
    expect(soaks.rollout.steps[0]?.status).toBe('SOAKING');
    expect(look(soaks.rollout, 6).rollout).toMatchObject({ status: 'PAUSED', evidence: null });
  });
});

describe('evidence that hangs on one charger', () => {
  it('pauses once, names it, and takes nothing back', () => {
    const paused = look(soaking(), 6);
    expect(paused.rollout).toMatchObject({ status: 'PAUSED', evidence: null });
    expect(paused.rollout.pausedBecause).toContain('C-0 at site-0');
    expect(paused.effects).toEqual([]);
    const later = look(paused.rollout, 20);
    expect(later.rollout).toBe(paused.rollout);
    const again = resumed(later.rollout, 21);
    expect(look(again, 40).rollout.status).toBe('RUNNING');
  });

  it('pauses for another one, and halts when the others bear it out', () => {
    const again = resumed(look(soaking(), 6).rollout, 6);
    const second = look(again, 20, [4, 4, 0.25, 0.25, 0.25]);
    expect(second.rollout.pausedBecause).toContain('C-1 at site-1');
    const harm = look(second.rollout, 30, [4, 4, 2, 2, 2, 2]);
    expect(harm.rollout).toMatchObject({ status: 'HALTED', rollBackNext: true });
    expect(harm.rollout.evidence?.behind?.chargers[0]).toMatchObject({ serial: 'C-1' });
  });

  it('halts from the pause, without a person, when the others bear it out', () => {
    const paused = look(soaking(), 6).rollout;
    expect(look(paused, 12, [4, 2, 2, 2]).rollout).toMatchObject({
      status: 'HALTED',
      evidence: { kind: 'detector', signal: 'fault', behind: { others: { chargers: 3, sites: 3 } } },
    });
  });

  it('is told once of a completed rollout, which has nothing left to pause', () => {
    const completed: Rollout = { ...running(), status: 'COMPLETED', statusSince: 0 };
    const noticed = look(completed, 6);
    expect(noticed.rollout.status).toBe('COMPLETED');
    expect(noticed.notes).toHaveLength(1);
    expect(look(noticed.rollout, 7).notes).toEqual([]);
    expect(look(noticed.rollout, 12, [4, 2, 2, 2]).rollout.status).toBe('HALTED');
  });
});

describe('without concurrent control', () => {
  const alone = (faults: readonly number[], hours: number): Observation => {
    const { bins, ...rest } = told(faults, hours);
    const bare = bins.map((each) => ({ ...each, controlEvents: 0, controlExposure: 0 }));
    return { ...rest, bins: bare, earlier: { fault: { events: 250, exposure: 1000 } } };
  };

  it('a completed rollout is halted by earlier rates, and says so', () => {
    const completed: Rollout = { ...running(), status: 'COMPLETED', statusSince: 70 * HOUR };
    const after = (faults: readonly number[]) =>
      must(completed, { kind: 'tick', observation: alone(faults, 72) }, 72 * HOUR).rollout;
    expect(after([0.25, 0.25, 0.25, 0.25, 0.25]).status).toBe('COMPLETED');
    const { status, evidence } = after([1, 1, 1, 1, 1]);
    expect(status).toBe('HALTED');
    expect(evidence).toMatchObject({ kind: 'detector', comparison: 'earlier' });
    expect(evidence?.sentence).toContain('no charger without the release was left to compare with');
  });
});
