import {
  type Assignment,
  type AssignmentEvent,
  type AssignmentState,
  decide,
  decideAssignment,
  dueAt,
  type Earlier,
  IN_FLIGHT,
  isTreated,
  type Observation,
  type Rollout,
  type RolloutEvent,
} from '@tidegate/rollout/core';
import { drawCohort } from './cohorts.ts';
import type { SimulatedCharger } from './fleet.ts';
import { Bins } from './health-counts.ts';

const HOUR = 3_600_000;

interface Member {
  charger: SimulatedCharger;
  step: number;
  assignment: Assignment;
}

/** One rollout over a simulated fleet: the real core, with a map instead of a database. */
export class RolloutRun {
  rollout: Rollout;
  readonly bins = new Bins();
  readonly notes: { at: number; note: string }[] = [];
  readonly #fleet: readonly SimulatedCharger[];
  readonly #earlier: Earlier;
  readonly #members = new Map<string, Member>();
  readonly #treatedHours: number[];
  #due: number | null = null;

  constructor(rollout: Rollout, fleet: readonly SimulatedCharger[], earlier: Earlier) {
    this.#earlier = earlier;
    this.rollout = rollout;
    this.#fleet = fleet;
    this.#treatedHours = rollout.steps.map(() => 0);
  }

  /** Everything that a person or the clock brings. An expected refusal here is a fault of the simulation. */
  take(event: RolloutEvent, now: number): void {
    const decision = decide(this.rollout, event, now);
    if (!decision.ok) throw new Error(`${event.kind} was refused: ${decision.code} ${decision.detail}`);
    this.rollout = decision.rollout;
    this.#due = dueAt(this.rollout, now);
    for (const note of decision.notes) this.notes.push({ at: now, note });
    for (const effect of decision.effects) {
      if (effect.kind === 'draw') this.#draw(effect.step);
      if (effect.kind === 'withdraw') this.#each({ kind: 'withdraw' }, now);
      if (effect.kind === 'rollBack') this.#each({ kind: 'rollBack', deadlineAt: now + 24 * HOUR }, now);
      if (effect.kind === 'wake') this.#due = Math.min(this.#due ?? effect.at, effect.at);
    }
  }

  /** Ticks until nothing is due any more at this moment. */
  tickIfDue(now: number): void {
    this.#each({ kind: 'deadline' }, now);
    while (this.#due !== null && this.#due <= now)
      this.take({ kind: 'tick', observation: this.observe() }, now);
  }

  /** Tells one charger's assignment; a refusal value changes nothing, as in the service. */
  tell(serial: string, event: AssignmentEvent, now: number): void {
    const member = this.#members.get(serial);
    if (member === undefined) return;
    const decision = decideAssignment(member.assignment, event, now);
    if (decision.ok) member.assignment = decision.assignment;
  }

  assignment(serial: string): Assignment | undefined {
    return this.#members.get(serial)?.assignment;
  }

  /** Whether it may be offered the release now: status, step, and the limits per site and in flight. */
  mayOffer(charger: SimulatedCharger): boolean {
    const member = this.#members.get(charger.serial);
    if (member?.assignment.state !== 'PENDING' || this.rollout.status !== 'RUNNING') return false;
    const step = this.rollout.steps[member.step];
    if (step?.status !== 'OPEN' && step?.status !== 'SOAKING') return false;
    const busy = [...this.#members.values()].filter((each) => isIn(each.assignment, IN_FLIGHT));
    const atSite = busy.filter((each) => each.charger.site === charger.site);
    const { perSite, inFlight } = this.rollout.plan.limits;
    return atSite.length < perSite && busy.length < inFlight;
  }

  /** Whether a report counts as treated, as control, or as neither. */
  side(charger: SimulatedCharger): 'treated' | 'control' | 'neither' {
    const activatedAt = this.assignment(charger.serial)?.activatedAt ?? null;
    if (activatedAt === null) return 'control';
    return charger.running === this.rollout.release.sha256 ? 'treated' : 'neither';
  }

  addTreatedHours(serial: string, hours: number): void {
    const step = this.#members.get(serial)?.step ?? -1;
    if (step >= 0) this.#treatedHours[step] = (this.#treatedHours[step] ?? 0) + hours;
  }

  observe(): Observation {
    const steps = this.rollout.steps.map((_, i) => ({
      counts: this.#counts(i),
      treatedChargerHours: this.#treatedHours[i] ?? 0,
    }));
    const hard = { chargers: 0, sites: 0, code: null };
    return {
      steps,
      bins: this.bins.all(),
      treated: this.bins.treated(),
      earlier: this.#earlier,
      hard,
      withoutFallback: 0,
    };
  }

  /** Chargers that took the release at any time. */
  everTreated(): number {
    return [...this.#members.values()].filter((each) => each.assignment.activatedAt !== null).length;
  }

  #counts(step: number): Partial<Record<AssignmentState, number>> {
    const counts: Partial<Record<AssignmentState, number>> = {};
    for (const member of this.#members.values()) {
      if (member.step !== step) continue;
      counts[member.assignment.state] = (counts[member.assignment.state] ?? 0) + 1;
    }
    return counts;
  }

  #draw(step: number): void {
    const drawn = [...this.#members.values()].filter((each) => each.step === step).length;
    const size = (this.rollout.steps[step]?.size ?? 0) - drawn;
    const taken = new Set(this.#members.keys());
    for (const charger of drawCohort(this.#fleet, taken, size, this.rollout.seed)) {
      this.#members.set(charger.serial, { charger, step, assignment: { ...PENDING } });
    }
  }

  #each(event: AssignmentEvent, now: number): void {
    for (const serial of this.#members.keys()) {
      const treated = isTreated(this.#members.get(serial)?.assignment ?? PENDING);
      if (event.kind !== 'rollBack' || treated) this.tell(serial, event, now);
    }
  }
}

const PENDING: Assignment = {
  state: 'PENDING',
  offeredAt: null,
  activatedAt: null,
  deadlineAt: null,
  code: null,
  detail: null,
};

function isIn(assignment: Assignment, states: readonly AssignmentState[]): boolean {
  return states.includes(assignment.state);
}
