/** What no plan goes below here, whatever the core could carry out: simulations may be quicker than a fleet ever should. */
import type { Plan, PlanProblem, Rollout, StepPlan } from '@tidegate/rollout/core';

/** Nobody rolls out alone. Design §2, step 4 */
const LEAST_APPROVALS = 1;
/** Of a soak: faults that an update causes show within the first charging sessions, not within minutes. Hours of the fleet's clock. */
export const LEAST_SOAK_HOURS = 1;
/** Of what a step's chargers could report in its soak: below it the gate would pass on next to no evidence. Design §5 */
export const LEAST_EXPOSURE_SHARE = 0.1;

export function belowFloor(plan: Plan): PlanProblem[] {
  const alone = plan.approvals < LEAST_APPROVALS;
  return [
    ...problem(alone, '/approvals', 'A plan needs an approval by somebody other than its author.'),
    ...forwardSteps(plan).flatMap(([pointer, { soak }]) =>
      problem(
        soak.hours < LEAST_SOAK_HOURS,
        `${pointer}/soak/hours`,
        `A soak lasts at least ${LEAST_SOAK_HOURS} h.`,
      ),
    ),
  ];
}

/** The same for what only the settled sizes show. */
export function belowExposureFloor({ plan, steps }: Rollout): PlanProblem[] {
  return forwardSteps(plan).flatMap(([pointer, { name }]) => {
    const step = steps.find((each) => each.name === name);
    if (step === undefined) return [];
    const least = LEAST_EXPOSURE_SHARE * step.size * step.soak.hours;
    return problem(
      step.soak.chargerHours < least,
      `${pointer}/soak/chargerHours`,
      `${step.size} chargers report ${step.size * step.soak.hours} charger-hours in this soak; ask for ${least} or more.`,
    );
  });
}

function forwardSteps(plan: Plan): [pointer: string, step: StepPlan][] {
  return [
    ['/canary', plan.canary],
    ...plan.waves.map((wave, i): [string, StepPlan] => [`/waves/${i}`, wave]),
  ];
}

function problem(wrong: boolean, pointer: string, detail: string): PlanProblem[] {
  return wrong ? [{ pointer, code: 'OUT_OF_RANGE', detail }] : [];
}
