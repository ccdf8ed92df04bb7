/** What no plan goes below here, whatever the core could carry out. */
import type { Plan, PlanProblem, Rollout } from '@tidegate/rollout/core';

/** Nobody rolls out alone. Design §2, step 4 */
const LEAST_APPROVALS = 1;
/** Of what a step's chargers could report in its soak: below it the gate of a large step would pass on next to no evidence. Design §5 */
const LEAST_EXPOSURE_SHARE = 0.1;

export function belowFloor(plan: Plan): PlanProblem[] {
  const detail = 'A plan needs an approval by somebody other than its author.';
  return plan.approvals < LEAST_APPROVALS ? [{ pointer: '/approvals', code: 'OUT_OF_RANGE', detail }] : [];
}

/** The same for what only the settled sizes show. */
export function belowExposureFloor({ plan, steps }: Rollout): PlanProblem[] {
  return [plan.canary, ...plan.waves].flatMap(({ name }, i) => {
    const step = steps.find((each) => each.name === name);
    if (step === undefined) return [];
    const { size, soak } = step;
    const least = LEAST_EXPOSURE_SHARE * size * soak.hours;
    if (soak.chargerHours >= least) return [];
    const pointer = `${i === 0 ? '/canary' : `/waves/${i - 1}`}/soak/chargerHours`;
    const detail = `${size} chargers can report ${size * soak.hours} charger-hours in ${soak.hours} h. Ask for ${least} or more.`;
    return [{ pointer, code: 'OUT_OF_RANGE' as const, detail }];
  });
}
