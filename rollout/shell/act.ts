import { decide, type Rollout, type RolloutEvent, type RolloutRefusal } from '../core/index.ts';
import type { RolloutRef } from './ports.ts';
import type { WorkDeps } from './work.ts';

/** What a person does to a rollout; the credential says who it is. */
export type PersonEvent = Exclude<RolloutEvent, { kind: 'tick' }>;

export type Acted =
  | { ok: true; rollout: Rollout; revision: number }
  /** The core's refusals; `NOT_FOUND`; `CHANGED`: it is no longer at the revision that the person looked at. */
  | { ok: false; code: RolloutRefusal | 'NOT_FOUND' | 'CHANGED'; detail: string };

const ATTEMPTS = 10;

/**
 * Carries out one person's event: decides, commits state, audit row and effects together, and rings. Without `revision`
 * it is decided again whenever somebody else commits first.
 */
export async function act(
  ref: RolloutRef,
  event: PersonEvent,
  options: { source: string; revision?: number; detail?: Record<string, unknown> },
  { store, doorbell, clock }: Pick<WorkDeps, 'store' | 'doorbell' | 'clock'>,
): Promise<Acted> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = await store.load(ref);
    if (found === undefined)
      return { ok: false, code: 'NOT_FOUND', detail: `There is no rollout ${ref.id}.` };
    if (options.revision !== undefined && options.revision !== found.revision) return changed(ref);
    const now = clock.now();
    const decision = decide(found.rollout, event, now);
    if (!decision.ok) return decision;
    const { rollout, effects, notes } = decision;
    const committed = await store.commit({
      rollout,
      revision: found.revision,
      effects: effects.filter((effect) => effect.kind !== 'wake'),
      audit: [
        {
          actor: event.by,
          action: `rollout.${event.kind}`,
          subject: ref.id,
          reason: event.reason,
          source: options.source,
          detail: { ...options.detail, from: found.rollout.status, to: rollout.status, notes },
        },
      ],
      // Looked at at once, whether or not the ring arrives.
      due: now,
    });
    if (committed === 'conflict') continue;
    await doorbell.ring(ref);
    const after = await store.load(ref);
    return { ok: true, rollout, revision: after?.revision ?? found.revision };
  }
  return changed(ref);
}

function changed(ref: RolloutRef): Acted {
  return { ok: false, code: 'CHANGED', detail: `Rollout ${ref.id} has changed meanwhile. Look at it again.` };
}
