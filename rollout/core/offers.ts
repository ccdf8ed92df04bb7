import { isWatched } from './tick.ts';
import type { Rollout } from './types.ts';

/**
 * Whether chargers of this step that have not taken the release yet may be offered it now.
 *
 * A step that is open or soaks takes its chargers in. Who was offline then is caught up once the step has passed its gate, for as long as
 * what happens to it is still judged: while the rollout runs, and in its watch. At the gate nobody is added, because the approver
 * judges what was seen; and a failed step offers nothing.
 */
export function offersTo(rollout: Rollout, step: number, now: number): boolean {
  switch (rollout.steps[step]?.status) {
    case 'OPEN':
    case 'SOAKING':
      return rollout.status === 'RUNNING';
    case 'PASSED':
      return rollout.status === 'RUNNING' || (rollout.status === 'COMPLETED' && isWatched(rollout, now));
    default:
      return false;
  }
}
