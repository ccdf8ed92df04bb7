import { isDeepStrictEqual } from 'node:util';
import type { Fallback } from '@tidegate/client-sdk/protocol';
import {
  type Assignment,
  type AssignmentEvent,
  type AssignmentState,
  decideAssignment,
  isTreated,
  type Observation,
  type Rollout,
  type RolloutEffect,
  type SignalBin,
  type TreatedCharger,
} from '../core/index.ts';
import { ALREADY_ON_RELEASE, NO_FALLBACK, NO_FALLBACK_DETAIL } from './codes.ts';
import { chooseFallback, type PublishedImage } from './fallback.ts';
import { drawCohort, isBusy, type MemoryCharger } from './memory-draw.ts';
import type { AssignmentRow, AuditEntry, RolloutRef, RolloutStore } from './ports.ts';

export interface MemoryAssignment extends Assignment {
  serial: string;
  step: number;
  /** Digest of what it ran before. */
  before: string | null;
  fallback: PublishedImage | null;
  updatedAt: number;
}

interface Held {
  rollout: Rollout;
  revision: number;
  due: number | null;
  /** By serial number. */
  assignments: Map<string, MemoryAssignment>;
  bins: SignalBin[];
  treated: TreatedCharger[];
  hard: { serial: string; site: string; code: string }[];
  /** Treated charger-hours by step. */
  exposure: number[];
}

const HOUR_MS = 3_600_000;

/** The truth in one process's memory, for tests and simulations. It keeps the same contract as the one in PostgreSQL. */
export class MemoryRolloutStore implements RolloutStore {
  readonly chargers: Map<string, MemoryCharger>;
  readonly audit: AuditEntry[] = [];
  readonly #images: (PublishedImage & { fallback: Fallback[] })[];
  readonly #held = new Map<string, Held>();
  #outbox: { ref: RolloutRef; id: string; effect: RolloutEffect }[] = [];
  #lastEffect = 0;

  constructor(fleet: { chargers: MemoryCharger[]; images: (PublishedImage & { fallback: Fallback[] })[] }) {
    this.chargers = new Map(fleet.chargers.map((charger) => [charger.serial, charger]));
    this.#images = fleet.images;
  }

  create(rollout: Rollout, due: number | null): void {
    const exposure = rollout.steps.map(() => 0);
    const nothing = { assignments: new Map(), bins: [], treated: [], hard: [] };
    this.#held.set(keyOf(rollout), { rollout, revision: 1, due, exposure, ...nothing });
  }

  assignment(ref: RolloutRef, serial: string): MemoryAssignment | undefined {
    return this.#held.get(keyOf(ref))?.assignments.get(serial);
  }

  /** What a charger's report or the director does to one assignment. */
  apply(ref: RolloutRef, serial: string, event: AssignmentEvent, now: number): boolean {
    const assignment = this.assignment(ref, serial);
    return assignment !== undefined && applyTo(assignment, event, now);
  }

  /** Evidence, as the ingest counts it. */
  report(
    ref: RolloutRef,
    what: {
      bins?: SignalBin[];
      treated?: TreatedCharger[];
      hard?: Held['hard'];
      exposure?: { step: number; hours: number };
    },
  ): void {
    const held = this.#held.get(keyOf(ref));
    if (held === undefined) return;
    held.bins.push(...(what.bins ?? []));
    held.treated.push(...(what.treated ?? []));
    held.hard.push(...(what.hard ?? []));
    if (what.exposure !== undefined) {
      held.exposure[what.exposure.step] = (held.exposure[what.exposure.step] ?? 0) + what.exposure.hours;
    }
  }

  load(ref: RolloutRef): Promise<{ rollout: Rollout; revision: number } | undefined> {
    const held = this.#held.get(keyOf(ref));
    return Promise.resolve(held && { rollout: structuredClone(held.rollout), revision: held.revision });
  }

  observe(rollout: Rollout): Promise<Observation> {
    const held = this.#held.get(keyOf(rollout));
    const all = [...(held?.assignments.values() ?? [])];
    const steps = rollout.steps.map((_, step) => {
      const counts: Partial<Record<AssignmentState, number>> = {};
      for (const { state } of all.filter((each) => each.step === step))
        counts[state] = (counts[state] ?? 0) + 1;
      return { counts, treatedChargerHours: held?.exposure[step] ?? 0 };
    });
    const hard = held?.hard ?? [];
    const stuck = all.filter(
      ({ code, state }) => code === NO_FALLBACK && (state === 'VERIFYING' || state === 'HEALTHY'),
    );
    return Promise.resolve({
      steps,
      bins: held?.bins ?? [],
      treated: held?.treated ?? [],
      earlier: {},
      hard: {
        chargers: hard.length,
        sites: new Set(hard.map(({ site }) => site)).size,
        code: hard[0]?.code ?? null,
      },
      withoutFallback: stuck.length,
    });
  }

  commit(change: Parameters<RolloutStore['commit']>[0]): Promise<'committed' | 'conflict'> {
    const held = this.#held.get(keyOf(change.rollout));
    if (held?.revision !== change.revision) return Promise.resolve('conflict');
    const moved = change.effects.length > 0 || !isDeepStrictEqual(held.rollout, change.rollout);
    held.rollout = structuredClone(change.rollout);
    held.revision += moved ? 1 : 0;
    held.due = change.due;
    const ref = { organisation: change.rollout.organisation, id: change.rollout.id };
    for (const effect of change.effects) this.#outbox.push({ ref, id: String(++this.#lastEffect), effect });
    this.audit.push(...change.audit);
    return Promise.resolve('committed');
  }

  due(now: number, limit: number): Promise<RolloutRef[]> {
    const due = [...this.#held.values()].filter((held) => held.due !== null && held.due <= now);
    due.sort((a, b) => (a.due ?? 0) - (b.due ?? 0));
    return Promise.resolve(
      due.slice(0, limit).map(({ rollout }) => ({ organisation: rollout.organisation, id: rollout.id })),
    );
  }

  pending(ref: RolloutRef): Promise<{ id: string; effect: RolloutEffect }[]> {
    const mine = this.#outbox.filter((entry) => keyOf(entry.ref) === keyOf(ref));
    return Promise.resolve(mine.map(({ id, effect }) => ({ id, effect })));
  }

  withPending(limit: number): Promise<RolloutRef[]> {
    const refs = new Map(this.#outbox.map(({ ref }) => [keyOf(ref), ref]));
    return Promise.resolve([...refs.values()].slice(0, limit));
  }

  perform(ref: RolloutRef, effectId: string, now: number): Promise<void> {
    const held = this.#held.get(keyOf(ref));
    const entry = this.#outbox.find(({ id }) => id === effectId);
    if (held === undefined || entry === undefined) return Promise.resolve();
    this.#outbox = this.#outbox.filter((each) => each !== entry);
    const { effect } = entry;
    if (effect.kind === 'draw') this.#draw(held, effect.step, now);
    if (effect.kind === 'withdraw') {
      for (const each of held.assignments.values()) applyTo(each, { kind: 'withdraw' }, now);
    }
    if (effect.kind === 'rollBack') {
      this.#takeIn(held, now);
      for (const each of held.assignments.values()) this.#sendBack(held, each, now);
    }
    return Promise.resolve();
  }

  expire(ref: RolloutRef, now: number): Promise<number> {
    const assignments = [...(this.#held.get(keyOf(ref))?.assignments.values() ?? [])];
    return Promise.resolve(assignments.filter((each) => applyTo(each, { kind: 'deadline' }, now)).length);
  }

  assignments(
    ref: RolloutRef,
    page: { after: string | null; limit: number; state?: AssignmentState },
  ): Promise<AssignmentRow[]> {
    const rows = [...(this.#held.get(keyOf(ref))?.assignments.values() ?? [])]
      .filter(({ serial }) => page.after === null || serial > page.after)
      .filter(({ state }) => page.state === undefined || state === page.state)
      .sort((a, b) => (a.serial < b.serial ? -1 : 1));
    return Promise.resolve(
      rows.slice(0, page.limit).map(({ serial, step, state, code, detail, updatedAt }) => {
        const site = this.chargers.get(serial)?.site ?? '';
        return { serial, site, step, state, code, detail, updatedAt };
      }),
    );
  }

  #draw(held: Held, step: number, now: number): void {
    const { rollout } = held;
    if (rollout.status !== 'RUNNING' && rollout.status !== 'PAUSED') return;
    const others = [...this.#held.values()].filter((each) => each !== held);
    for (const each of held.assignments.values()) {
      const runs = this.chargers.get(each.serial)?.running === rollout.release.sha256;
      if (each.step <= step && !runs && !isBusy(each.serial, others)) applyTo(each, { kind: 'redraw' }, now);
    }
    for (const charger of drawCohort(rollout, step, [...this.chargers.values()], held.assignments, others)) {
      const already = charger.running === rollout.release.sha256;
      held.assignments.set(charger.serial, {
        ...fresh(charger.serial, step, now),
        before: charger.running,
        state: already ? 'SKIPPED' : 'PENDING',
        code: already ? ALREADY_ON_RELEASE : null,
      });
    }
  }

  /** Chargers that came to the release by another way than this rollout. */
  #takeIn(held: Held, now: number): void {
    const { rollout, assignments } = held;
    for (const { serial, product } of this.chargers.values()) {
      if (product !== rollout.product || assignments.has(serial) || !this.#runsIt(held, serial)) continue;
      const step = Math.max(0, rollout.current);
      assignments.set(serial, { ...fresh(serial, step, now), state: 'HEALTHY', activatedAt: now });
    }
  }

  /** It runs the release, and no later rollout, with approvals of its own, brought it there. */
  #runsIt({ rollout }: Held, serial: string): boolean {
    const later = [...this.#held.values()].some(
      (other) =>
        other.rollout.createdAt > rollout.createdAt &&
        other.rollout.release.sha256 === rollout.release.sha256 &&
        typeof other.assignments.get(serial)?.activatedAt === 'number',
    );
    return this.chargers.get(serial)?.running === rollout.release.sha256 && !later;
  }

  #sendBack(held: Held, assignment: MemoryAssignment, now: number): void {
    const charger = this.chargers.get(assignment.serial);
    const { release } = held.rollout;
    const back = assignment.state === 'ROLLING_BACK' || assignment.state === 'ROLLED_BACK';
    if (charger === undefined || back) return;
    if (!isTreated(assignment) && !this.#runsIt(held, assignment.serial)) return;
    // What runs the release runs it, whatever was thought of it.
    if (!isTreated(assignment))
      applyTo(assignment, { kind: 'progress', leg: 'forward', progress: 'HEALTHY' }, now);
    const image = this.#images.find(({ sha256 }) => sha256 === release.sha256);
    const way = chooseFallback({
      fallback: image?.fallback ?? [],
      published: this.#images,
      securityVersion: image?.securityVersion ?? 0,
      charger: { before: assignment.before, hardware: charger.hardware },
      now,
    });
    if (way === undefined) {
      applyTo(assignment, { kind: 'noFallback', code: NO_FALLBACK, detail: NO_FALLBACK_DETAIL }, now);
      return;
    }
    assignment.fallback = way;
    const deadlineAt = now + held.rollout.plan.deadlineHours * HOUR_MS;
    applyTo(assignment, { kind: 'rollBack', deadlineAt }, now);
  }
}

function fresh(serial: string, step: number, now: number): MemoryAssignment {
  const times = { offeredAt: null, activatedAt: null, deadlineAt: null, updatedAt: now };
  return { ...times, serial, step, state: 'PENDING', before: null, code: null, detail: null, fallback: null };
}

function applyTo(assignment: MemoryAssignment, event: AssignmentEvent, now: number): boolean {
  const decision = decideAssignment(assignment, event, now);
  if (!decision.ok || !decision.changed) return false;
  Object.assign(assignment, decision.assignment, { updatedAt: now });
  return true;
}

function keyOf({ organisation, id }: { organisation: string; id: string }): string {
  return JSON.stringify([organisation, id]);
}
