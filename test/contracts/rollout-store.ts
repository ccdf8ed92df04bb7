/** What every rollout store keeps, in memory or in PostgreSQL. The same fleet, the same draws, the same ways down. */
import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Clock, Fallback } from '@tidegate/client-sdk/protocol';
import {
  type AssignmentEvent,
  type AssignmentState,
  createRollout,
  decide,
  parsePlan,
  type Rollout,
} from '@tidegate/rollout/core';
import {
  act,
  ALREADY_ON_RELEASE,
  memoryDoorbell,
  type MemoryCharger,
  MemoryRolloutStore,
  NO_FALLBACK,
  type RolloutRef,
  type RolloutStore,
  NOTHING_EXPIRES,
  SILENT_LOG,
  work,
} from '@tidegate/rollout/shell';
import { type Image, ORGANISATION, PRODUCT } from '../support/fleet.ts';

export interface SeenAssignment {
  state: AssignmentState;
  step: number;
  code: string | null;
  deadlineAt: number | null;
  fallback: string | null;
}

export interface Harness {
  store: RolloutStore;
  create(rollout: Rollout, due: number | null): Promise<void>;
  /** What a report or the director does. */
  apply(ref: RolloutRef, serial: string, event: AssignmentEvent, now: number): Promise<boolean>;
  assignment(ref: RolloutRef, serial: string): Promise<SeenAssignment | undefined>;
  hardEvent(
    ref: RolloutRef,
    event: { serial: string; site: string; code: string },
    now: number,
  ): Promise<void>;
  setRunning(serial: string, sha256: string): Promise<void>;
  auditActions(): Promise<string[]>;
}

const NOW = Date.UTC(2026, 10, 22, 12);
const HOUR = 3_600_000;
export const CLOCK: Clock = { now: () => NOW, sleep: () => Promise.resolve() };
const digest = (letter: string): string => letter.repeat(64);
const [OLD, OLDER, NEW, LOWER] = [digest('a'), digest('b'), digest('c'), digest('d')];

const later = new Date(NOW + 90 * 24 * HOUR).toISOString();
const image = (version: string, sha256: string, more: Partial<Image> = {}): Image => ({
  path: `${PRODUCT}/fw-${version}.bin`,
  sha256,
  length: 1000,
  version,
  securityVersion: 2,
  hardware: ['r1', 'r2'],
  barred: false,
  fallback: [],
  ...more,
});
const way = (of: Image, more: Partial<Fallback> = {}): Fallback => ({
  path: of.path,
  sha256: of.sha256,
  expires: later,
  auto: true,
  ...more,
});
const images = {
  old: image('1.1.0', OLD),
  older: image('1.0.0', OLDER),
  lower: image('0.9.0', LOWER, { securityVersion: 1 }),
};

function fleet(size: number): MemoryCharger[] {
  return Array.from({ length: size }, (_, i) => {
    const hardware = i % 3 === 0 ? 'r2' : 'r1';
    return {
      serial: `CP-${String(i).padStart(3, '0')}`,
      product: PRODUCT,
      hardware,
      site: `site-${i % 5}`,
      stratum: `${hardware}/depot/north`,
      running: i % 4 === 0 ? OLDER : OLD,
    };
  });
}

function rolloutOf(id: string, population: number): Rollout {
  const plan = parsePlan({
    canary: { size: { count: 6 }, soak: { hours: 1 }, approvals: 0 },
    waves: [{ size: { count: 10 }, soak: { hours: 1 } }],
    holdBack: { count: 4 },
    approvals: 0,
  });
  if (!plan.ok) throw new Error(JSON.stringify(plan.problems));
  const created = createRollout({
    id,
    organisation: ORGANISATION,
    product: PRODUCT,
    author: 'ada',
    plan: plan.plan,
    population,
    now: NOW,
    release: { path: `${PRODUCT}/fw-2.0.0.bin`, version: '2.0.0', sha256: NEW, length: 1000 },
    seed: 'seed',
  });
  if (!created.ok) throw new Error(JSON.stringify(created.problems));
  return created.rollout;
}

function running(rollout: Rollout): Rollout {
  return { ...rollout, status: 'RUNNING', current: 0 };
}

export function rolloutStoreContract(
  name: string,
  open: (fleet: { chargers: MemoryCharger[]; images: Image[] }) => Promise<Harness>,
): void {
  describe(`rollout store: ${name}`, () => {
    const chargers = fleet(40);
    const release = (fallback: Fallback[]): Image => image('2.0.0', NEW, { fallback });
    let harness: Harness;
    let store: RolloutStore;
    let rollout: Rollout;
    let ref: RolloutRef;

    const start = async (fallback: Fallback[] = [way(images.old), way(images.older)]): Promise<void> => {
      harness = await open({
        chargers: structuredClone(chargers),
        images: [...Object.values(images), release(fallback)],
      });
      store = harness.store;
      rollout = running(rolloutOf('r-20261122-aaaaaa', chargers.length));
      ref = { organisation: ORGANISATION, id: rollout.id };
      await harness.create(rollout, null);
    };
    const commit = async (change: Partial<Parameters<RolloutStore['commit']>[0]>): Promise<string> => {
      const found = await store.load(ref);
      const same = { rollout: found?.rollout ?? rollout, revision: found?.revision ?? 0 };
      return store.commit({ ...same, effects: [], audit: [], due: null, ...change });
    };
    const perform = async (): Promise<void> => {
      for (const { id } of await store.pending(ref)) await store.perform(ref, id, NOW);
    };
    const draw = async (...steps: number[]): Promise<void> => {
      await commit({ effects: steps.map((step) => ({ kind: 'draw', step })) });
      await perform();
    };
    const serials = async (step: number): Promise<string[]> => {
      const rows = await store.assignments(ref, { after: null, limit: 1000 });
      return rows.filter((row) => row.step === step).map((row) => row.serial);
    };
    const stateOf = async (serial: string): Promise<AssignmentState | undefined> =>
      (await harness.assignment(ref, serial))?.state;
    const treat = async (serial: string): Promise<void> => {
      await harness.apply(ref, serial, { kind: 'offered', deadlineAt: NOW + HOUR }, NOW);
      await harness.apply(ref, serial, { kind: 'activated' }, NOW);
      await harness.setRunning(serial, NEW);
      await harness.apply(ref, serial, { kind: 'progress', leg: 'forward', progress: 'HEALTHY' }, NOW);
    };

    beforeEach(() => start());

    test('of two that read one revision, one commits', async () => {
      const found = await store.load(ref);
      expect(found?.rollout).toEqual(rollout);
      const paused: Rollout = { ...rollout, status: 'PAUSED' };
      expect(await commit({ rollout: paused })).toBe('committed');
      expect(await commit({ rollout, revision: found?.revision ?? 0 })).toBe('conflict');
      expect((await store.load(ref))?.rollout.status).toBe('PAUSED');
    });

    test('a conflict leaves no effect and no audit row behind', async () => {
      const entry = { actor: 'ada', action: 'x', subject: 'y', reason: 'z', source: 'test', detail: {} };
      const outcome = await commit({ revision: 99, effects: [{ kind: 'withdraw' }], audit: [entry] });
      expect(outcome).toBe('conflict');
      expect(await store.pending(ref)).toEqual([]);
      expect(await harness.auditActions()).toEqual([]);
    });

    test('a commit that changes nothing but the due time keeps the revision', async () => {
      const before = await store.load(ref);
      await commit({ due: NOW });
      expect((await store.load(ref))?.revision).toBe(before?.revision);
      expect(await store.due(NOW, 10)).toEqual([ref]);
      expect(await store.due(NOW - 1, 10)).toEqual([]);
    });

    test('effects stay pending, in their order, until they are performed; twice is once', async () => {
      await commit({ effects: [{ kind: 'draw', step: 0 }, { kind: 'withdraw' }] });
      const pending = await store.pending(ref);
      expect(pending.map(({ effect }) => effect.kind)).toEqual(['draw', 'withdraw']);
      expect(await store.withPending(10)).toEqual([ref]);
      await perform();
      expect(await store.pending(ref)).toEqual([]);
      for (const { id } of pending) await store.perform(ref, id, NOW);
      expect((await serials(0)).length).toBe(6);
    });

    test('an effect that another worker has carried out is not carried out again, whatever has happened since', async () => {
      await draw(0);
      await commit({ rollout: { ...rollout, status: 'HALTED' }, effects: [{ kind: 'withdraw' }] });
      const [withdraw] = await store.pending(ref);
      await perform();
      // People send it forward, its step opens again, and a worker that had read the withdrawal before comes to it late.
      await commit({ rollout, effects: [{ kind: 'draw', step: 0 }] });
      await perform();
      await store.perform(ref, withdraw?.id ?? '', NOW);
      expect((await store.observe(rollout, NOW)).steps[0]?.counts).toEqual({ PENDING: 6 });
    });

    test('a step that opens again wants what was withdrawn from those before it too', async () => {
      await draw(0, 1);
      await commit({ rollout: { ...rollout, status: 'HALTED' }, effects: [{ kind: 'withdraw' }] });
      await perform();
      await commit({ rollout: { ...rollout, current: 1 }, effects: [{ kind: 'draw', step: 1 }] });
      await perform();
      const { steps } = await store.observe(rollout, NOW);
      expect(steps.map(({ counts }) => counts)).toEqual([{ PENDING: 6 }, { PENDING: 10 }, {}]);
    });

    test('where all that a step drew were skipped, others take their places', async () => {
      await draw(0);
      const skipped = await serials(0);
      for (const serial of skipped) {
        await harness.apply(ref, serial, { kind: 'skip', code: 'X', detail: '' }, NOW);
      }
      await draw(0);
      const members = (await serials(0)).filter((serial) => !skipped.includes(serial));
      expect(members.length).toBe(6);
      await draw(0);
      expect((await serials(0)).length).toBe(12);
    });

    test('draws every step in its size, each charger once, the same in every store', async () => {
      await draw(0, 1, 2);
      const sizes = [await serials(0), await serials(1), await serials(2)];
      expect(sizes.map((each) => each.length)).toEqual(rollout.steps.map((step) => step.size));
      expect(new Set(sizes.flat()).size).toBe(chargers.length);
      const twin = new MemoryRolloutStore({ chargers, images: [] });
      twin.create(rollout, null);
      await twin.commit({ rollout, revision: 1, effects: [{ kind: 'draw', step: 0 }], audit: [], due: null });
      await twin.perform(ref, '1', NOW);
      const twins = await twin.assignments(ref, { after: null, limit: 100 });
      expect(sizes[0]).toEqual(twins.map(({ serial }) => serial));
    });

    test('a step drawn again keeps its members and takes nobody else', async () => {
      await draw(0);
      const first = await serials(0);
      await draw(0);
      expect(await serials(0)).toEqual(first);
      const strata = first.map((serial) => chargers.find((each) => each.serial === serial)?.hardware);
      // 14 of 40 are r2.
      expect(strata.filter((hardware) => hardware === 'r2').length).toBe(2);
    });

    test('who runs the release already is skipped; who is busy in another rollout is left there', async () => {
      const other = running(rolloutOf('r-20261122-bbbbbb', chargers.length));
      await harness.create(other, null);
      await store.commit({
        rollout: other,
        revision: 1,
        effects: [{ kind: 'draw', step: 0 }],
        audit: [],
        due: null,
      });
      const otherRef = { organisation: ORGANISATION, id: other.id };
      for (const { id } of await store.pending(otherRef)) await store.perform(otherRef, id, NOW);
      const busy = (await store.assignments(otherRef, { after: null, limit: 100 })).map(
        ({ serial }) => serial,
      );
      const already = chargers.find(({ serial }) => !busy.includes(serial))?.serial ?? '';
      await harness.setRunning(already, NEW);
      await draw(0, 1, 2);
      const mine = [...(await serials(0)), ...(await serials(1)), ...(await serials(2))];
      expect(mine.length).toBe(chargers.length - busy.length);
      expect(mine.filter((serial) => busy.includes(serial))).toEqual([]);
      expect(await harness.assignment(ref, already)).toMatchObject({
        state: 'SKIPPED',
        code: ALREADY_ON_RELEASE,
      });
    });

    test('who is busy elsewhere leaves no gap: the other strata fill the step', async () => {
      const whole = running(rolloutOf('r-20261122-bbbbbb', chargers.length));
      const other = { ...whole, steps: whole.steps.map((step) => ({ ...step, size: 40 })) };
      const otherRef = { organisation: ORGANISATION, id: other.id };
      await harness.create(other, null);
      const effects = [{ kind: 'draw' as const, step: 0 }];
      await store.commit({ rollout: other, revision: 1, effects, audit: [], due: null });
      for (const { id } of await store.pending(otherRef)) await store.perform(otherRef, id, NOW);
      for (const { serial } of chargers.filter(({ hardware }) => hardware === 'r1')) {
        await harness.apply(otherRef, serial, { kind: 'skip', code: 'X', detail: '' }, NOW);
      }
      await draw(0, 1);
      expect([(await serials(0)).length, (await serials(1)).length]).toEqual([6, 10]);
    });

    test('a rollout that was halted meanwhile draws nobody', async () => {
      await commit({ effects: [{ kind: 'draw', step: 0 }] });
      await commit({ rollout: { ...rollout, status: 'HALTED' } });
      await perform();
      expect(await serials(0)).toEqual([]);
    });

    test('withdraw skips what was not activated, and nothing else', async () => {
      await draw(0);
      const [pending, staged, treated] = (await serials(0)) as [string, string, string];
      await harness.apply(ref, staged, { kind: 'offered', deadlineAt: NOW + HOUR }, NOW);
      await harness.apply(ref, staged, { kind: 'progress', leg: 'forward', progress: 'STAGED' }, NOW);
      await treat(treated);
      await commit({ rollout: { ...rollout, status: 'HALTED' }, effects: [{ kind: 'withdraw' }] });
      await perform();
      expect(await stateOf(pending)).toBe('SKIPPED');
      expect(await stateOf(staged)).toBe('SKIPPED');
      expect(await stateOf(treated)).toBe('HEALTHY');
    });

    test('withdraw skips the silent that never activated, and leaves the silent that did', async () => {
      await draw(0);
      const [never, silent] = (await serials(0)) as [string, string];
      for (const serial of [never, silent]) {
        await harness.apply(ref, serial, { kind: 'offered', deadlineAt: NOW + HOUR }, NOW);
      }
      await harness.apply(ref, silent, { kind: 'activated' }, NOW);
      expect(await store.expire(ref, NOW + HOUR)).toBe(2);
      await commit({ rollout: { ...rollout, status: 'HALTED' }, effects: [{ kind: 'withdraw' }] });
      await perform();
      expect(await harness.assignment(ref, never)).toMatchObject({ state: 'SKIPPED', code: 'WITHDRAWN' });
      expect(await stateOf(silent)).toBe('LOST');
    });

    test('a step that opens again wants what the halt withdrew, but not who is busy elsewhere or on the release', async () => {
      await draw(0);
      const drawn = await serials(0);
      const [silent, runs, busy, treated] = drawn as [string, string, string, string];
      await harness.apply(ref, silent, { kind: 'offered', deadlineAt: NOW }, NOW);
      await store.expire(ref, NOW);
      await treat(treated);
      await commit({ rollout: { ...rollout, status: 'HALTED' }, effects: [{ kind: 'withdraw' }] });
      await perform();
      // Another rollout takes one, and somebody's hand puts the release on another.
      const other = { ...running(rolloutOf('r-20261122-bbbbbb', chargers.length)), seed: 'seed' };
      await harness.create({ ...other, steps: other.steps.map((step) => ({ ...step, size: 40 })) }, null);
      const otherRef = { organisation: ORGANISATION, id: other.id };
      await harness.setRunning(runs, NEW);
      await store.commit({
        rollout: { ...other, steps: other.steps.map((step) => ({ ...step, size: 40 })) },
        revision: 1,
        effects: [{ kind: 'draw', step: 0 }],
        audit: [],
        due: null,
      });
      for (const { id } of await store.pending(otherRef)) await store.perform(otherRef, id, NOW);
      for (const serial of drawn) {
        if (serial === busy) continue;
        await harness.apply(otherRef, serial, { kind: 'skip', code: 'X', detail: '' }, NOW);
      }
      await commit({ rollout, effects: [{ kind: 'draw', step: 0 }] });
      await perform();
      expect(await harness.assignment(ref, silent)).toMatchObject({
        state: 'PENDING',
        code: null,
        deadlineAt: null,
      });
      expect(await stateOf(busy)).toBe('SKIPPED');
      expect(await stateOf(runs)).toBe('SKIPPED');
      expect(await stateOf(treated)).toBe('HEALTHY');
      expect((await store.observe(rollout, NOW)).steps[0]?.counts).toEqual({
        PENDING: 3,
        SKIPPED: 2,
        HEALTHY: 1,
      });
    });

    test('a rollback takes in who came to the release by another way, but not whom a later rollout brought there', async () => {
      await draw(0);
      const drawn = await serials(0);
      const [byHand, byLater] = chargers
        .map(({ serial }) => serial)
        .filter((serial) => !drawn.includes(serial));
      if (byHand === undefined || byLater === undefined) throw new Error('two that are not drawn');
      const later = running({ ...rolloutOf('r-20261122-bbbbbb', chargers.length), createdAt: NOW + 1 });
      const laterRef = { organisation: ORGANISATION, id: later.id };
      const whole = { ...later, steps: later.steps.map((step) => ({ ...step, size: 40 })) };
      await harness.create(whole, null);
      const effects = [{ kind: 'draw' as const, step: 0 }];
      await store.commit({ rollout: whole, revision: 1, effects, audit: [], due: null });
      for (const { id } of await store.pending(laterRef)) await store.perform(laterRef, id, NOW);
      await harness.apply(laterRef, byLater, { kind: 'activated' }, NOW);
      for (const serial of [byHand, byLater]) await harness.setRunning(serial, NEW);
      await commit({ rollout: { ...rollout, status: 'ROLLING_BACK' }, effects: [{ kind: 'rollBack' }] });
      await perform();
      expect(await harness.assignment(ref, byHand)).toMatchObject({ state: 'ROLLING_BACK', fallback: OLD });
      expect(await harness.assignment(ref, byLater)).toBeUndefined();
      expect((await store.observe(rollout, NOW)).steps[0]?.counts).toEqual({ PENDING: 6, ROLLING_BACK: 1 });
    });

    test('rollback sends each treated charger back to what it ran before', async () => {
      await draw(0);
      const treated = await serials(0);
      for (const serial of treated) await treat(serial);
      await commit({ rollout: { ...rollout, status: 'ROLLING_BACK' }, effects: [{ kind: 'rollBack' }] });
      await perform();
      for (const serial of treated) {
        const before = chargers.find((each) => each.serial === serial)?.running;
        expect(await harness.assignment(ref, serial)).toMatchObject({
          state: 'ROLLING_BACK',
          fallback: before,
          deadlineAt: NOW + rollout.plan.deadlineHours * HOUR,
        });
      }
    });

    test.each([
      ['expired', [way(images.old, { expires: new Date(NOW).toISOString() })]],
      ['of a lower security version that is not auto', [way(images.lower, { auto: false })]],
      ['not published', [way(image('0.1.0', digest('e')))]],
      ['of another digest than published', [way(images.old, { sha256: digest('f') })]],
      ['absent', []],
    ])('a fallback that is %s is no way down: the charger is listed', async (_, fallback) => {
      await start(fallback);
      await draw(0);
      const [serial] = (await serials(0)) as [string];
      await treat(serial);
      await commit({ rollout: { ...rollout, status: 'ROLLING_BACK' }, effects: [{ kind: 'rollBack' }] });
      await perform();
      expect(await harness.assignment(ref, serial)).toMatchObject({
        state: 'HEALTHY',
        code: NO_FALLBACK,
        fallback: null,
      });
      expect((await store.observe(rollout, NOW)).withoutFallback).toBe(1);
    });

    test('a lower security version is a way down where its entry says auto', async () => {
      await start([way(images.lower)]);
      await draw(0);
      const [serial] = (await serials(0)) as [string];
      await treat(serial);
      await commit({ effects: [{ kind: 'rollBack' }] });
      await perform();
      expect(await harness.assignment(ref, serial)).toMatchObject({ state: 'ROLLING_BACK', fallback: LOWER });
    });

    test('one that fell silent after it was activated is sent back as well, whatever it ran when it was last heard', async () => {
      await draw(0);
      const [silent] = (await serials(0)) as [string];
      await harness.apply(ref, silent, { kind: 'offered', deadlineAt: NOW }, NOW);
      await harness.apply(ref, silent, { kind: 'activated' }, NOW);
      await store.expire(ref, NOW);
      expect(await stateOf(silent)).toBe('LOST');
      await commit({ rollout: { ...rollout, status: 'ROLLING_BACK' }, effects: [{ kind: 'rollBack' }] });
      await perform();
      expect(await stateOf(silent)).toBe('ROLLING_BACK');
      // On its way back it is busy, and no other rollout draws it.
      const other = running(rolloutOf('r-20261122-bbbbbb', chargers.length));
      const otherRef = { organisation: ORGANISATION, id: other.id };
      const whole = { ...other, steps: other.steps.map((step) => ({ ...step, size: 40 })) };
      await harness.create(whole, null);
      const effects = [{ kind: 'draw' as const, step: 0 }];
      await store.commit({ rollout: whole, revision: 1, effects, audit: [], due: null });
      for (const { id } of await store.pending(otherRef)) await store.perform(otherRef, id, NOW);
      expect(await harness.assignment(otherRef, silent)).toBeUndefined();
    });

    test('one taken for failed that runs the release and has no way back is listed as what it is, on the release', async () => {
      await start([]);
      await draw(0);
      const [serial] = (await serials(0)) as [string];
      await harness.apply(ref, serial, { kind: 'offered', deadlineAt: NOW + HOUR }, NOW);
      await harness.apply(ref, serial, { kind: 'progress', leg: 'forward', progress: 'FAILED' }, NOW);
      await harness.setRunning(serial, NEW);
      await commit({ rollout: { ...rollout, status: 'ROLLING_BACK' }, effects: [{ kind: 'rollBack' }] });
      await perform();
      expect(await harness.assignment(ref, serial)).toMatchObject({ state: 'HEALTHY', code: NO_FALLBACK });
      expect((await store.observe(rollout, NOW)).withoutFallback).toBe(1);
    });

    test('whom an earlier rollout of the release brought there is taken back with the rest', async () => {
      const [serial = ''] = chargers.map((each) => each.serial);
      const earlier = running({ ...rolloutOf('r-20261122-bbbbbb', chargers.length), createdAt: NOW - 1 });
      const earlierRef = { organisation: ORGANISATION, id: earlier.id };
      const whole = { ...earlier, steps: earlier.steps.map((step) => ({ ...step, size: 40 })) };
      await harness.create(whole, null);
      const effects = [{ kind: 'draw' as const, step: 0 }];
      await store.commit({ rollout: whole, revision: 1, effects, audit: [], due: null });
      for (const { id } of await store.pending(earlierRef)) await store.perform(earlierRef, id, NOW);
      await harness.apply(earlierRef, serial, { kind: 'activated' }, NOW);
      await harness.setRunning(serial, NEW);
      await commit({ rollout: { ...rollout, status: 'ROLLING_BACK' }, effects: [{ kind: 'rollBack' }] });
      await perform();
      expect(await stateOf(serial)).toBe('ROLLING_BACK');
    });

    test('a charger taken for failed that runs the release is sent back as well', async () => {
      await draw(0);
      const [serial, quiet] = (await serials(0)) as [string, string];
      await harness.apply(ref, serial, { kind: 'offered', deadlineAt: NOW + HOUR }, NOW);
      await harness.apply(ref, serial, { kind: 'progress', leg: 'forward', progress: 'FAILED' }, NOW);
      await harness.setRunning(serial, NEW);
      await commit({ effects: [{ kind: 'rollBack' }] });
      await perform();
      expect(await stateOf(serial)).toBe('ROLLING_BACK');
      expect(await stateOf(quiet)).toBe('PENDING');
    });

    test('past its deadline a charger is lost, and one that is only drawn has none', async () => {
      await draw(0);
      const [late, drawnOnly] = (await serials(0)) as [string, string];
      await harness.apply(ref, late, { kind: 'offered', deadlineAt: NOW + HOUR }, NOW);
      expect(await store.expire(ref, NOW + HOUR - 1)).toBe(0);
      expect(await store.expire(ref, NOW + HOUR)).toBe(1);
      expect(await store.expire(ref, NOW + HOUR)).toBe(0);
      expect(await harness.assignment(ref, late)).toMatchObject({ state: 'LOST', code: 'SILENT' });
      expect(await stateOf(drawnOnly)).toBe('PENDING');
    });

    test('counts hard events by charger and site', async () => {
      await harness.hardEvent(ref, { serial: 'CP-001', site: 'site-1', code: 'BOOT_LOOP' }, NOW);
      await harness.hardEvent(ref, { serial: 'CP-006', site: 'site-1', code: 'SEVERITY_0' }, NOW + 1);
      expect((await store.observe(rollout, NOW)).hard).toEqual({ chargers: 2, sites: 1, code: 'BOOT_LOOP' });
    });

    test('pages through the assignments by serial number, and by state', async () => {
      await draw(0, 1);
      const all = await store.assignments(ref, { after: null, limit: 100 });
      const first = await store.assignments(ref, { after: null, limit: 7 });
      const rest = await store.assignments(ref, { after: first.at(-1)?.serial ?? null, limit: 100 });
      expect([...first, ...rest]).toEqual(all);
      expect(all.map(({ serial }) => serial)).toEqual(all.map(({ serial }) => serial).sort());
      expect(await store.assignments(ref, { after: null, limit: 100, state: 'HEALTHY' })).toEqual([]);
    });

    test('property: the counters are what counting would give, whatever happens', async () => {
      const happening: fc.Arbitrary<AssignmentEvent> = fc.oneof(
        fc.constant<AssignmentEvent>({ kind: 'offered', deadlineAt: NOW + HOUR }),
        fc.constant<AssignmentEvent>({ kind: 'activated' }),
        fc.record({
          kind: fc.constant('progress' as const),
          leg: fc.constantFrom('forward' as const, 'back' as const),
          progress: fc.constantFrom(
            'DOWNLOADING',
            'STAGED',
            'INSTALLING',
            'VERIFYING',
            'HEALTHY',
            'FAILED',
            'ROLLED_BACK',
          ),
        }) as fc.Arbitrary<AssignmentEvent>,
      );
      await draw(0, 1);
      const known = await serials(0);
      const steps = fc.array(fc.tuple(fc.constantFrom(...known), happening), { minLength: 5, maxLength: 25 });
      const effects = fc.constantFrom(
        'none' as const,
        'expire' as const,
        'withdraw' as const,
        'rollBack' as const,
      );
      await fc.assert(
        fc.asyncProperty(steps, effects, async (events, effect) => {
          for (const [serial, event] of events) await harness.apply(ref, serial, event, NOW);
          if (effect === 'expire') await store.expire(ref, NOW + HOUR);
          if (effect === 'withdraw' || effect === 'rollBack') {
            await commit({ effects: [{ kind: effect }] });
            await perform();
          }
          const rows = await store.assignments(ref, { after: null, limit: 1000 });
          const observed = await store.observe(rollout, NOW);
          for (const [step, { counts }] of observed.steps.entries()) {
            const counted: Partial<Record<AssignmentState, number>> = {};
            for (const row of rows.filter((each) => each.step === step)) {
              counted[row.state] = (counted[row.state] ?? 0) + 1;
            }
            expect(counts).toEqual(counted);
          }
        }),
        { numRuns: 12, seed: 20261122 },
      );
    });

    test('people act through one door: refusals are values, acceptance is committed, audited and due', async () => {
      const draft = rolloutOf('r-20261122-cccccc', chargers.length);
      const draftRef = { organisation: ORGANISATION, id: draft.id };
      await harness.create(draft, null);
      const doorbell = memoryDoorbell(SILENT_LOG);
      const deps = { store, doorbell, clock: CLOCK };
      const by = { by: 'ada', reason: 'first release' };
      const wrong = await act(draftRef, { kind: 'resume', ...by }, { source: 'test' }, deps);
      expect(wrong).toMatchObject({ ok: false, code: 'WRONG_STATUS' });
      const stale = await act(draftRef, { kind: 'submit', ...by }, { source: 'test', revision: 7 }, deps);
      expect(stale).toMatchObject({ ok: false, code: 'CHANGED' });
      const missing = await act(
        { ...draftRef, id: 'r-none' },
        { kind: 'submit', ...by },
        { source: 'test' },
        deps,
      );
      expect(missing).toMatchObject({ ok: false, code: 'NOT_FOUND' });
      const submitted = await act(draftRef, { kind: 'submit', ...by }, { source: 'test', revision: 1 }, deps);
      expect(submitted).toMatchObject({ ok: true, revision: 2 });
      expect(await harness.auditActions()).toEqual(['rollout.submit']);
      expect(await store.due(NOW, 10)).toEqual([draftRef]);
    });

    test('workers that look at one rollout at once do its work once', async () => {
      const fresh = rolloutOf('r-20261122-dddddd', chargers.length);
      const freshRef = { organisation: ORGANISATION, id: fresh.id };
      await harness.create(fresh, null);
      const doorbell = memoryDoorbell(SILENT_LOG);
      const deps = { store, doorbell, clock: CLOCK, lifetimes: NOTHING_EXPIRES, log: SILENT_LOG };
      const submitted = decide(fresh, { kind: 'submit', by: 'ada', reason: 'go' }, NOW);
      if (!submitted.ok) throw new Error(submitted.detail);
      await store.commit({ rollout: submitted.rollout, revision: 1, effects: [], audit: [], due: NOW });
      await commit({ rollout: { ...rollout, status: 'CANCELLED' } });
      await Promise.all([1, 2, 3].map(() => work(freshRef, deps)));
      expect((await store.load(freshRef))?.rollout.status).toBe('RUNNING');
      const drawn = await store.assignments(freshRef, { after: null, limit: 100 });
      expect(drawn.length).toBe(6);
      expect(await store.pending(freshRef)).toEqual([]);
      expect((await harness.auditActions()).filter((action) => action === 'rollout.running').length).toBe(1);
    });
  });
}
