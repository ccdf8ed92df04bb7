import { FLEET_SIZE, newRollout, ORDERS, PLAN, UNTOUCHED, whyOf } from './setting.ts';
import type { AssignmentProgress } from '@tidegate/client-sdk/protocol';
import {
  type Assignment,
  type AssignmentEvent,
  type AssignmentState,
  cohortKey,
  decide,
  decideAssignment,
  dueAt,
  IN_FLIGHT,
  isTreated,
  type Life,
  type Observation,
  openingOf,
  offersTo,
  type Rollout,
  type RolloutEvent,
  sentenceOfWaiting,
  type SignalBin,
  type TreatedCharger,
  waitsFor,
} from '@tidegate/rollout/core';
import { drawCohort, Repeats } from '@tidegate/rollout/simulation';

const HOUR = 3_600_000;

/** `is offline`: it does not even hear the offer. `is slow`: it takes the offer, and does what the scenario says. */
type Habit = 'takes it' | 'is silent' | 'is offline' | 'is slow' | { fails: string };

interface Member {
  step: number;
  assignment: Assignment;
  /** What it does with what it is offered. */
  habit: Habit;
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
  readonly #fleet = Array.from({ length: FLEET_SIZE }, (_, i) => {
    const serial = `C-${String(i + 1).padStart(2, '0')}`;
    return { serial, site: `site-${(i % 4) + 1}`, stratum: `dc/${i % 2}`, key: cohortKey(serial) };
  });
  readonly #members = new Map<string, Member>();
  readonly #habits: Habit[] = [];
  readonly #hard = new Map<string, { site: string; code: string }>();
  readonly #bins: SignalBin[] = [];
  readonly #treated = new Map<string, TreatedCharger>();
  readonly #repeats = new Repeats(15);
  /** Holds a stolen identity and invents faults of so many kinds each minute. */
  #liar: { serial: string; kinds: number } | undefined;
  readonly #treatedHours = [0, 0, 0];
  #free = Infinity;
  #lives: Life[] = [];

  constructor(print: (line: string) => void) {
    this.#print = print;
    this.rollout = newRollout(PLAN);
  }

  /** Before it is submitted: the plan itself needs so many approvals. */
  approvals(needed: number): void {
    this.rollout = newRollout({ ...PLAN, approvals: needed });
  }

  /** From now on it expires then; said again, it has been renewed. */
  expires(kind: Life['kind'], subject: string, hours: number, share?: number): void {
    const life = {
      kind,
      subject,
      expires: this.now + hours * HOUR,
      ...(share === undefined ? {} : { share }),
    };
    const others = this.#lives.filter((other) => other.kind !== kind || other.subject !== subject);
    this.#lives = [...others, life];
  }

  /** What it waits for. */
  why(): string[] {
    const hour = (ms: number) => `hour ${ms / HOUR}`;
    return waitsFor(this.rollout, this.#observe()).map((waiting) => sentenceOfWaiting(waiting, hour));
  }

  /** The next chargers that are drawn behave so. */
  next(count: number, habit: Habit): void {
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

  /** The offline are back, and do what they are told. */
  connect(): void {
    for (const member of this.#members.values()) {
      if (member.habit === 'is offline') member.habit = 'takes it';
    }
  }

  /** What one charger says of itself; the core's answer is printed, a refusal too. */
  report(serial: string, progress: AssignmentProgress, back: boolean): void {
    this.#answer(serial, { kind: 'progress', leg: back ? 'back' : 'forward', progress, ...whyOf(progress) });
    this.#settle();
  }

  /** What the service does with one charger. */
  order(serial: string, order: keyof typeof ORDERS): void {
    this.#answer(serial, ORDERS[order](this.now));
    this.#settle();
  }

  /** Whatever brought it there, a charger runs the release. */
  found(serial: string): void {
    const step = Math.max(0, this.rollout.current);
    const fresh: Member = {
      step,
      assignment: { ...UNTOUCHED, state: 'SKIPPED' },
      habit: 'takes it',
      fallback: true,
    };
    const member = this.#members.get(serial) ?? fresh;
    this.#members.set(serial, member);
    this.#answer(serial, { kind: 'found' });
    this.#settle();
  }

  /** So many chargers are free to be drawn; the others take part in another rollout. */
  busy(free: number): void {
    this.#free = free;
  }

  /** The silent stop after they have taken the release. */
  fallSilent(count: number): void {
    const treated = [...this.#members.values()].filter((member) => isTreated(member.assignment));
    for (const member of treated.slice(-count)) member.habit = 'is silent';
  }

  /** Somebody reports under the name of a treated charger. */
  steal(kinds: number): void {
    const [serial] = [...this.#members].find(([, member]) => isTreated(member.assignment)) ?? [];
    if (serial === undefined) throw new Error('Nobody is treated yet.');
    this.#liar = { serial, kinds };
  }

  /** Its certificate no longer counts; its unit is not there any more. */
  retire(serial: string): void {
    if (this.#liar?.serial === serial) this.#liar = undefined;
    const member = this.#members.get(serial);
    if (member === undefined) throw new Error(`${serial} has no part in it.`);
    member.habit = 'is silent';
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
      const lives = openingOf(this.rollout, this.now) === null ? [] : this.#lives;
      if (!this.#take({ kind: 'tick', observation: this.#observe(), lives })) break;
    }
  }

  #report(): void {
    if (!this.reporting) return;
    const treated = [...this.#members].filter(
      ([, { assignment, habit }]) => isTreated(assignment) && habit !== 'is silent',
    );
    const activated = [...this.#members.values()].filter((member) => member.assignment.activatedAt !== null);
    for (const [, { step }] of treated) this.#treatedHours[step] = (this.#treatedHours[step] ?? 0) + 1;
    const events = treated.map(([serial], i) => this.#treatedEvents(serial, i, treated.length));
    const control = this.controlReporting ? this.#fleet.length - activated.length : 0;
    this.#bins.push({
      signal: 'fault',
      from: this.now,
      treatedEvents: events.reduce((sum, each) => sum + each, 0),
      treatedExposure: treated.length,
      controlEvents: control > 0 ? this.faults.control : 0,
      controlExposure: control,
    });
  }

  /** Its share of the hour's faults, one charger after the other, and what is counted of those that are invented in its name. */
  #treatedEvents(serial: string, i: number, of: number): number {
    const turn = (i + this.now / HOUR) % of;
    let count = Math.floor((this.faults.treated + turn) / of);
    const kinds = this.#liar?.serial === serial ? this.#liar.kinds : 0;
    for (let minute = 0; minute < 60; minute++) {
      for (let kind = 0; kind < kinds; kind++) {
        const event = { at: this.now + minute * 60_000, signal: 'fault', code: `kind-${kind}` } as const;
        count += this.#repeats.counts(serial, event) ? 1 : 0;
      }
    }
    const known = this.#treated.get(serial) ?? this.#untold(serial);
    known.exposure += 1;
    known.to = this.now + HOUR;
    known.events.push({ from: this.now, count });
    return count;
  }

  #untold(serial: string): TreatedCharger {
    const site = this.#fleet.find((charger) => charger.serial === serial)?.site ?? '';
    const untold = { serial, site, signal: 'fault', events: [], exposure: 0, from: this.now, to: 0 } as const;
    const charger: TreatedCharger = { ...untold, events: [] };
    this.#treated.set(serial, charger);
    return charger;
  }

  /** What the chargers do within an hour. */
  #move(): void {
    const goesOn = this.rollout.status === 'RUNNING' || this.rollout.status === 'COMPLETED';
    for (const [serial, member] of this.#members) {
      if (member.habit === 'is offline') continue;
      if (member.assignment.state === 'PENDING' && offersTo(this.rollout, member.step, this.now)) {
        this.#tell(serial, { kind: 'offered', deadlineAt: this.now + PLAN.deadlineHours * HOUR });
      }
      const { state } = member.assignment;
      if (member.habit === 'is silent' || member.habit === 'is slow') continue;
      if (state === 'ROLLING_BACK')
        this.#tell(serial, { kind: 'progress', leg: 'back', progress: 'HEALTHY' });
      else if (goesOn && (IN_FLIGHT as readonly AssignmentState[]).includes(state))
        this.#takeRelease(serial, member);
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

  #answer(serial: string, event: AssignmentEvent): void {
    const member = this.#members.get(serial);
    if (member === undefined) throw new Error(`${serial} is not drawn.`);
    const decision = decideAssignment(member.assignment, event, this.now);
    if (!decision.ok) return this.#print(`${serial}: ${decision.code}; it stays ${member.assignment.state}`);
    member.assignment = decision.assignment;
    this.#print(`${serial} is ${member.assignment.state}`);
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
    const size = Math.min(this.#free, (this.rollout.steps[step]?.size ?? 0) - drawn);
    this.#free -= size;
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
      treated: [...this.#treated.values()],
      earlier: {},
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
