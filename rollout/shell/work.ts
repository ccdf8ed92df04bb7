import type { Clock } from '@tidegate/client-sdk/protocol';
import { decide, dueAt, openingOf, type Rollout, type RolloutEffect } from '../core/index.ts';
import type { Log } from './log.ts';
import type { AuditEntry, Doorbell, Lifetimes, RolloutRef, RolloutStore } from './ports.ts';

export interface WorkDeps {
  store: RolloutStore;
  doorbell: Doorbell;
  lifetimes: Lifetimes;
  /** The fleet's. */
  clock: Clock;
  log: Log;
}

/** Who acts in the audit log when no person does. */
export const SYSTEM = 'tidegate';

/** A tick that asks to be looked at again at once (a halt, then the rollback) goes on in the same call, so far. */
const ROUNDS = 16;

/**
 * What a ring of the doorbell leads to: everything that was decided is carried out, then the rollout is looked at with fresh eyes
 * and what follows is decided, committed, and only then carried out. Doing it twice, or in two processes, changes nothing.
 */
export async function work(ref: RolloutRef, deps: WorkDeps): Promise<void> {
  await performPending(ref, deps);
  for (let round = 0; round < ROUNDS; round++) {
    const outcome = await tickOnce(ref, deps);
    if (outcome === 'settled') return;
    if (outcome === 'moved') await performPending(ref, deps);
  }
  await deps.doorbell.ring(ref);
}

/** In the order in which they were decided. */
async function performPending(ref: RolloutRef, { store, clock }: WorkDeps): Promise<void> {
  for (const { id } of await store.pending(ref)) await store.perform(ref, id, clock.now());
}

/**
 * - `settled`: nothing more to do before the time that was committed as due.
 * - `moved`: it changed, and may have more to do.
 * - `conflict`: somebody else committed first; read again.
 */
async function tickOnce(ref: RolloutRef, deps: WorkDeps): Promise<'settled' | 'moved' | 'conflict'> {
  const { store, lifetimes, clock, log } = deps;
  const found = await store.load(ref);
  if (found === undefined) return 'settled';
  const now = clock.now();
  await store.expire(ref, now);
  const observation = await store.observe(found.rollout, now);
  const opening = openingOf(found.rollout, now);
  const lives = opening === null ? [] : await lifetimes.of(found.rollout, opening);
  const decision = decide(found.rollout, { kind: 'tick', observation, lives }, now);
  if (!decision.ok) return 'settled';
  const { rollout, effects, notes } = decision;
  const moved = rollout !== found.rollout || effects.length > 0;
  const committed = await store.commit({
    rollout,
    revision: found.revision,
    effects: effects.filter((effect) => effect.kind !== 'wake'),
    audit: notes.map((note) => auditOf(found.rollout, rollout, note)),
    due: nextLook(rollout, effects, now),
  });
  if (committed === 'conflict') return 'conflict';
  for (const note of notes)
    log.info({ organisation: ref.organisation, rollout: ref.id, status: rollout.status }, note);
  return moved ? 'moved' : 'settled';
}

/** The sweeper rings at this time at the latest: the earliest of what the core asked for. */
export function nextLook(rollout: Rollout, effects: RolloutEffect[], now: number): number | null {
  const times = effects.flatMap((effect) => (effect.kind === 'wake' ? [effect.at] : []));
  const due = dueAt(rollout, now);
  if (due !== null) times.push(due);
  return times.length === 0 ? null : Math.min(...times);
}

function auditOf(before: Rollout, after: Rollout, note: string): AuditEntry {
  return {
    actor: SYSTEM,
    action: before.status === after.status ? 'rollout.advance' : `rollout.${after.status.toLowerCase()}`,
    subject: after.id,
    reason: note,
    source: 'worker',
    detail: { from: before.status, to: after.status, step: after.current, evidence: after.evidence },
  };
}
