import { byPerson } from './people.ts';
import { tick } from './tick.ts';
import type { Decision, Rollout, RolloutEvent } from './types.ts';

/**
 * The state machine of a rollout, pure: the next value, what the shell does once it has committed it, and what to write into the audit log.
 *
 * Only a `tick` moves the rollout along, because only a tick carries fresh evidence: an approval is recorded and asks for a tick at once.
 * In each tick, stopping comes before pausing, and pausing before advancing.
 *
 * A halt is committed as `HALTED` with the effect `withdraw`, so that it binds on its own; where going back is automatic, the tick after it
 * (asked for at once) moves to `ROLLING_BACK` with the effect `rollBack`.
 *
 * An accepted event that changes nothing returns the very same rollout and no effects, so that the shell need not commit it; `dueAt` says when to look again.
 */
export function decide(rollout: Rollout, event: RolloutEvent, now: number): Decision {
  return event.kind === 'tick'
    ? tick(rollout, event.observation, now, event.lives)
    : byPerson(rollout, event, now);
}
