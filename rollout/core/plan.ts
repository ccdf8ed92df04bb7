import { Fields, type PlanProblem, problemsOf } from './fields.ts';
import type { Plan, Size, StepPlan } from './types.ts';

export type ParsedPlan = { ok: true; plan: Plan } | { ok: false; problems: PlanProblem[] };

const DAY = 24;
const MAX_WAVES = 50;
/** Least soak of a step. Below it not even one bin of a quiet charger's reports is complete, and only emergency shortens a soak. Design §4, §5 */
const MIN_SOAK_HOURS = 1;
/** Least exposure of a step, in charger-hours, where a plan names one. */
const MIN_SOAK_CHARGER_HOURS = 1;

/**
 * Reads a plan as an operator wrote it (JSON or YAML, already parsed) and fills the defaults:
 *
 * | Field                                | Default                                                      |
 * |--------------------------------------|--------------------------------------------------------------|
 * | `canary`                             | share 0.05, soak 24 h, 1 approval at its gate                |
 * | `waves`                              | shares 0.25 and 0.6, soak 24 h, no approval                  |
 * | `waves[n].name`                      | `wave 1`, `wave 2`, …                                        |
 * | `soak.chargerHours`                  | half of the step's size × its hours                          |
 * |                                      | (a soak is at least 1 h, and at least 1 charger-hour)        |
 * | `holdBack`                           | share 0.1                                                    |
 * | `approvals` (of the plan itself)     | 1                                                            |
 * | `limits`                             | `perSite` 2, `inFlight` 100                                  |
 * | `deadlineHours`                      | 72                                                           |
 * | `maxFailedShare`, `healthyShare`     | 0.1, 0.9                                                     |
 * | `detector`                           | α 0.01, ratios 1.5 2 3 5 10, bins of 15 min, repeats 15 min  |
 * | `watchHours`                         | 168                                                          |
 * | `startAt`                            | null: as soon as it is approved                              |
 *
 * @returns the plan, or every problem found, each with a JSON pointer to the field. See `PlanProblemCode`.
 */
export function parsePlan(input: unknown): ParsedPlan {
  const problems: PlanProblem[] = [];
  const fields = new Fields(input, '', problems);
  const plan: Plan = {
    canary: step(fields.object('canary'), {
      name: 'canary',
      size: { share: 0.05 },
      approvals: 1,
      empty: 'CANARY_EMPTY',
    }),
    waves: waves(fields),
    holdBack: size(fields.object('holdBack'), { share: 0.1 }, 'HOLD_BACK_EMPTY'),
    approvals: fields.whole('approvals', 1, 0, 10),
    limits: limits(fields.object('limits')),
    deadlineHours: fields.number('deadlineHours', 72, 0.1, 365 * DAY),
    maxFailedShare: fields.number('maxFailedShare', 0.1, 0, 1),
    healthyShare: fields.number('healthyShare', 0.9, 0.01, 1),
    detector: detector(fields.object('detector')),
    watchHours: fields.number('watchHours', 7 * DAY, 0, 365 * DAY),
    startAt: fields.time('startAt'),
  };
  fields.close();
  // Contradictions among defaults that stand in for broken fields would only confuse.
  if (problems.length === 0) problems.push(...contradictions(plan));
  return problems.length > 0 ? { ok: false, problems } : { ok: true, plan };
}

function waves(fields: Fields): StepPlan[] {
  const given = fields.list('waves', [{ size: { share: 0.25 } }, { size: { share: 0.6 } }], MAX_WAVES);
  return given.map((wave, i) =>
    step(wave, { name: `wave ${i + 1}`, size: null, approvals: 0, empty: 'WAVE_EMPTY' }),
  );
}

function step(
  fields: Fields,
  defaults: {
    name: string;
    size: Size | null;
    approvals: number;
    empty: 'CANARY_EMPTY' | 'WAVE_EMPTY';
  },
): StepPlan {
  const soak = fields.object('soak');
  const result: StepPlan = {
    name: fields.text('name', defaults.name, 64),
    size: size(fields.object('size'), defaults.size, defaults.empty),
    soak: {
      hours: soak.number('hours', DAY, 0, 90 * DAY),
      chargerHours: soak.has('chargerHours') ? soak.number('chargerHours', 0, 0, 1e9) : null,
    },
    approvals: fields.whole('approvals', defaults.approvals, 0, 10),
  };
  // Design §5: a soak needs time and exposure; with next to none of either it would pass on no evidence.
  const { hours, chargerHours } = result.soak;
  if (hours < MIN_SOAK_HOURS)
    soak.problem(
      'hours',
      'SOAK_EMPTY',
      `A soak of ${hours} h proves nothing. Give at least ${MIN_SOAK_HOURS}.`,
    );
  if (chargerHours !== null && chargerHours < MIN_SOAK_CHARGER_HOURS) {
    const detail = `A soak of ${chargerHours} charger-hours proves nothing. Give at least ${MIN_SOAK_CHARGER_HOURS}.`;
    soak.problem('chargerHours', 'SOAK_EMPTY', detail);
  }
  soak.close();
  fields.close();
  return result;
}

function size(
  fields: Fields,
  fallback: Size | null,
  empty: 'CANARY_EMPTY' | 'WAVE_EMPTY' | 'HOLD_BACK_EMPTY',
): Size {
  if (!fields.given && fallback !== null) return fallback;
  const both = fields.has('count') && fields.has('share');
  const neither = !fields.has('count') && !fields.has('share');
  if (both || neither) {
    fields.problem('', 'MALFORMED', 'Give a size as either {"count": n} or {"share": 0 to 1}.');
    return { count: 1 };
  }
  const result: Size = fields.has('count')
    ? { count: fields.whole('count', 1, 0, 10_000_000) }
    : { share: fields.number('share', 0.1, 0, 1) };
  fields.close();
  if (amount(result) === 0) fields.problem('', empty, 'It must hold at least one charger.');
  return result;
}

function limits(fields: Fields): Plan['limits'] {
  const result = {
    perSite: fields.whole('perSite', 2, 1, 100_000),
    inFlight: fields.whole('inFlight', 100, 1, 1_000_000),
  };
  fields.close();
  return result;
}

function detector(fields: Fields): Plan['detector'] {
  const result = {
    alpha: fields.number('alpha', 0.01, 1e-9, 0.2),
    ratios: fields.numbers('ratios', [1.5, 2, 3, 5, 10], 1.05, 1000, 20),
    binMinutes: fields.whole('binMinutes', 15, 1, DAY * 60),
    deduplicateMinutes: fields.whole('deduplicateMinutes', 15, 0, DAY * 60),
  };
  fields.close();
  return result;
}

/** What no single field shows. Counts against shares are settled by `createRollout`, which knows the fleet. */
function contradictions(plan: Plan): PlanProblem[] {
  const steps = [plan.canary.size, ...plan.waves.map((wave) => wave.size)];
  const forward = sum(steps.map(shareOf));
  const all = forward + shareOf(plan.holdBack);
  const names = [plan.canary, ...plan.waves].map((each) => each.name);
  return [
    ...problemsOf(forward > 1 + 1e-9, '/waves', 'OVER_100_PERCENT', 'Canary and waves exceed the fleet.'),
    ...problemsOf(
      forward <= 1 + 1e-9 && all > 1 + 1e-9,
      '/holdBack',
      'HOLD_BACK_EMPTY',
      'Canary and waves leave no room for the hold-back. Make a wave smaller.',
    ),
    // A step that tolerates failures must be able to soak with them, else it waits for ever.
    ...problemsOf(
      plan.healthyShare + plan.maxFailedShare > 1 + 1e-9,
      '/healthyShare',
      'OUT_OF_RANGE',
      'healthyShare and maxFailedShare exceed 1 together: a step with tolerated failures could never soak.',
    ),
    ...problemsOf(new Set(names).size < names.length, '/waves', 'NAME_TAKEN', 'Two steps have one name.'),
  ];
}

function amount(size: Size): number {
  return 'count' in size ? size.count : size.share;
}

function shareOf(size: Size): number {
  return 'share' in size ? size.share : 0;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
