import {
  type Assignment,
  type AssignmentEvent,
  type AssignmentState,
  cohortKey,
  createRollout,
  decide,
  decideAssignment,
  dueAt,
  isTreated,
  type Observation,
  parsePlan,
  type Rollout,
  type RolloutEvent,
  type SignalBin,
} from '@tidegate/rollout/core';
import { drawCohort } from '@tidegate/rollout/simulation';

const HOUR = 3_600_000;

/** 20 chargers at 4 sites: canary 4, one wave of 10, hold-back 6. */
export const PLAN = {
  canary: { size: { count: 4 }, soak: { hours: 10, chargerHours: 30 }, approvals: 1 },
  waves: [{ name: 'wave', size: { count: 10 }, soak: { hours: 6, chargerHours: 60 } }],
  holdBack: { count: 6 },
  approvals: 1,
  deadlineHours: 5,
  maxFailedShare: 0.25,
  healthyShare: 0.75,
  watchHours: 24,
};

interface Member {
  step: number;
  assignment: Assignment;
  /** What it does with what it is offered. */
  habit: 'takes it' | 'is silent' | { fails: string };
  fallback: boolean;
}

/** A fleet and one rollout, with the real core between them; the hours pass when a scenario says so. */
export class Stage {
  rollout: Rollout;
  now = 0;
  /** Connector faults in each hour to come, over all chargers. */
  faults = { treated: 0, control: 0 };
  reporting = true;
  controlReporting = true;
  readonly #print: (line: string) => void;
  readonly #fleet = Array.from({ length: 20 }, (_, i) => {
    const serial = `C-${String(i + 1).padStart(2, '0')}`;
    return { serial, site: `site-${(i % 4) + 1}`, stratum: `dc/${i % 2}`, key: cohortKey(serial) };
  });
  readonly #members = new Map<string, Member>();
  readonly #habits: Member['habit'][] = [];
  readonly #hard = new Map<string, { site: string; code: string }>();
  readonly #bins: SignalBin[] = [];
  readonly #treatedHours = [0, 0, 0];

  constructor(print: (line: string) => void) {
    this.#print = print;
    const plan = parsePlan(PLAN);
    if (!plan.ok) throw new Error(JSON.stringify(plan.problems));
    const created = createRollout({
      id: 'r-1',
      organisation: 'acme',
      product: 'acme.dc150',
      release: { path: 'acme.dc150/2.0.0', version: '2.0.0', sha256: 'b'.repeat(64), length: 1 },
      author: 'alice',
      plan: plan.plan,
      seed: 'scenario',
      population: this.#fleet.length,
      now: 0,
    });
    if (!created.ok) throw new Error(JSON.stringify(created.problems));
    this.rollout = created.rollout;
  }

  /** The next chargers that are drawn behave so. */
  next(count: number, habit: Member['habit']): void {
    for (let i = 0; i < count; i++) this.#habits.push(habit);
  }

  /** Treated chargers report a hard event: `count` of them, at as many sites. */
  hardEvents(count: number, sites: number, code: string): void {
    this.#hard.clear();
    for (let i = 0; i < count; i++) this.#hard.set(`hard-${i}`, { site: `site-${i % sites}`, code });
  }

  /** So many chargers that took the release have no signed way back. */
  withoutFallback(count: number): void {
    const treated = [...this.#members.values()].filter((member) => isTreated(member.assignment));
    for (const member of treated.slice(0, count)) member.fallback = false;
  }

  /** The silent report again, and do what they are told. */
  wakeUp(): void {
    for (const [serial, member] of this.#members) {
      if (member.habit !== 'is silent') continue;
      member.habit = 'takes it';
      this.#tell(serial, { kind: 'progress', leg: 'forward', progress: 'STAGED' });
    }
  }

  /** The silent stop after they have taken the release. */
  fallSilent(count: number): void {
    const treated = [...this.#members.values()].filter((member) => isTreated(member.assignment));
    for (const member of treated.slice(-count)) member.habit = 'is silent';
  }

  person(event: RolloutEvent): void {
    this.#take(event);
    this.#settle();
  }

  wait(hours: number): void {
    for (let i = 0; i < hours; i++) {
      this.#report();
      this.now += HOUR;
      this.#move();
      this.#settle();
    }
  }

  /** Chargers by state, step by step. */
  status(): string[] {
    const { rollout } = this;
    const lines = rollout.steps.map((step, i) => {
      const counts = Object.entries(this.#counts(i)).map(([state, count]) => `${count} ${state}`);
      return `${step.name} ${step.status}: ${counts.length === 0 ? 'not drawn' : counts.join(', ')}`;
    });
    const held = rollout.holding === null ? '' : `, held for ${rollout.holding}`;
    return [`${rollout.status}${held}`, ...lines];
  }

  #take(event: RolloutEvent): boolean {
    const before = this.rollout;
    const decision = decide(before, event, this.now);
    if (!decision.ok) {
      this.#print(`refused: ${decision.code}. ${decision.detail}`);
      return false;
    }
    this.rollout = decision.rollout;
    for (const note of decision.notes) this.#print(note);
    if (before.status !== this.rollout.status) this.#print(`${before.status} -> ${this.rollout.status}`);
    for (const effect of decision.effects) {
      if (effect.kind === 'draw') this.#draw(effect.step);
      if (effect.kind === 'withdraw') this.#tellAll({ kind: 'withdraw' });
      if (effect.kind === 'rollBack') this.#rollBack();
    }
    return decision.effects.length > 0 || before !== this.rollout;
  }

  /** Ticks for as long as each one changes something. */
  #settle(): void {
    this.#tellAll({ kind: 'deadline' });
    while (dueAt(this.rollout, this.now) !== null) {
      if (!this.#take({ kind: 'tick', observation: this.#observe() })) break;
    }
  }

  #report(): void {
    if (!this.reporting) return;
    const treated = [...this.#members.values()].filter(
      (member) => isTreated(member.assignment) && member.habit !== 'is silent',
    );
    const activated = [...this.#members.values()].filter((member) => member.assignment.activatedAt !== null);
    for (const member of treated)
      this.#treatedHours[member.step] = (this.#treatedHours[member.step] ?? 0) + 1;
    const control = this.controlReporting ? this.#fleet.length - activated.length : 0;
    this.#bins.push({
      signal: 'fault',
      from: this.now,
      treatedEvents: treated.length > 0 ? this.faults.treated : 0,
      treatedExposure: treated.length,
      controlEvents: control > 0 ? this.faults.control : 0,
      controlExposure: control,
    });
  }

  /** What the chargers do within an hour. */
  #move(): void {
    const step = this.rollout.steps[this.rollout.current]?.status;
    const open = this.rollout.status === 'RUNNING' && (step === 'OPEN' || step === 'SOAKING');
    for (const [serial, member] of this.#members) {
      const { state } = member.assignment;
      if (state === 'PENDING' && open && member.step <= this.rollout.current) {
        this.#tell(serial, { kind: 'offered', deadlineAt: this.now + PLAN.deadlineHours * HOUR });
      }
      if (member.habit === 'is silent') continue;
      if (state === 'ROLLING_BACK')
        this.#tell(serial, { kind: 'progress', leg: 'back', progress: 'HEALTHY' });
      else if (open) this.#takeRelease(serial, member);
    }
  }

  #takeRelease(serial: string, { habit }: Member): void {
    if (typeof habit === 'object') {
      this.#tell(serial, { kind: 'progress', leg: 'forward', progress: 'FAILED', code: habit.fails });
      return;
    }
    this.#tell(serial, { kind: 'activated' });
    this.#tell(serial, { kind: 'progress', leg: 'forward', progress: 'HEALTHY' });
  }

  #tell(serial: string, event: AssignmentEvent): void {
    const member = this.#members.get(serial);
    if (member === undefined) return;
    const decision = decideAssignment(member.assignment, event, this.now);
    if (!decision.ok) return;
    const before = member.assignment.state;
    member.assignment = decision.assignment;
    const { state, code } = decision.assignment;
    if (before !== state && (state === 'LOST' || state === 'FAILED')) {
      this.#print(`${serial} is ${state}: ${code}`);
    }
  }

  #tellAll(event: AssignmentEvent): void {
    for (const serial of this.#members.keys()) this.#tell(serial, event);
  }

  #rollBack(): void {
    for (const [serial, member] of this.#members) {
      const lacks = { kind: 'noFallback', code: 'NO_FALLBACK', detail: 'No signed way back.' } as const;
      const goes = { kind: 'rollBack', deadlineAt: this.now + PLAN.deadlineHours * HOUR } as const;
      this.#tell(serial, member.fallback ? goes : lacks);
    }
  }

  #draw(step: number): void {
    const taken = new Set(this.#members.keys());
    const drawn = [...this.#members.values()].filter((member) => member.step === step).length;
    const size = (this.rollout.steps[step]?.size ?? 0) - drawn;
    for (const { serial } of drawCohort(this.#fleet, taken, size, this.rollout.seed)) {
      const habit = this.#habits.shift() ?? 'takes it';
      this.#members.set(serial, { step, assignment: { ...UNTOUCHED }, habit, fallback: true });
    }
    this.#tellAll({ kind: 'redraw' });
  }

  #counts(step: number): Partial<Record<AssignmentState, number>> {
    const counts: Partial<Record<AssignmentState, number>> = {};
    for (const { step: of, assignment } of this.#members.values()) {
      if (of === step) counts[assignment.state] = (counts[assignment.state] ?? 0) + 1;
    }
    return counts;
  }

  #observe(): Observation {
    const hard = [...this.#hard.values()];
    return {
      steps: this.#treatedHours.map((treatedChargerHours, i) => ({
        counts: this.#counts(i),
        treatedChargerHours,
      })),
      bins: this.#bins,
      hard: {
        chargers: hard.length,
        sites: new Set(hard.map((each) => each.site)).size,
        code: hard[0]?.code ?? null,
      },
      withoutFallback: [...this.#members.values()].filter(
        (member) => !member.fallback && ['VERIFYING', 'HEALTHY'].includes(member.assignment.state),
      ).length,
    };
  }
}

const UNTOUCHED: Assignment = {
  state: 'PENDING',
  offeredAt: null,
  activatedAt: null,
  deadlineAt: null,
  code: null,
  detail: null,
};
