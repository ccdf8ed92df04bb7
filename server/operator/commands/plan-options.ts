import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { CommandError, type CommandContext, EXIT } from './context.ts';
import { decimal, size, sizes, wholeNumber } from './options.ts';

type Size = ReturnType<typeof size>;

export interface PlanOptions {
  plan?: string;
  canary?: Size;
  waves?: Size[];
  holdBack?: Size;
  soakHours?: number;
  soakChargerHours?: number;
  approvals?: number;
  gateApprovals?: number;
  inFlight?: number;
  perSite?: number;
  deadlineHours?: number;
  watchHours?: number;
  startAt?: string;
}

/** The fields of a plan that people change most; the rest is in the file. What is given nowhere has the service's default. */
export function withPlanOptions(command: Command): Command {
  return command
    .option('--plan <file>', 'a plan in JSON; the options below change it')
    .option('--canary <size>', 'chargers in the canary: a number, or a share as 5%', size)
    .option('--waves <sizes>', 'the waves after it, e.g. 12,30 or 25%,60%', sizes)
    .option('--hold-back <size>', 'control cohort, released last', size)
    .option('--soak-hours <n>', 'how long each step is watched', decimal('--soak-hours'))
    .option('--soak-charger-hours <n>', 'reports that each step needs', decimal('--soak-charger-hours'))
    .option('--approvals <n>', 'of the plan, by people other than you', wholeNumber('--approvals'))
    .option('--gate-approvals <n>', 'at the gate after the canary', wholeNumber('--gate-approvals'))
    .option('--in-flight <n>', 'chargers that update at one moment', wholeNumber('--in-flight'))
    .option('--per-site <n>', 'chargers of one site that update at one moment', wholeNumber('--per-site'))
    .option('--deadline-hours <n>', 'from offer to healthy', decimal('--deadline-hours'))
    .option('--watch-hours <n>', 'how long a completed rollout stays watched', decimal('--watch-hours'))
    .option('--start-at <time>', 'earliest start, e.g. 2026-11-23T08:00:00Z');
}

type Json = Record<string, unknown>;

/** The plan as the service takes it. It alone judges whether the plan makes sense. */
export async function planOf(context: CommandContext, options: PlanOptions): Promise<Json> {
  const plan = options.plan === undefined ? {} : await readPlan(resolve(context.cwd, options.plan));
  const soak = withGiven({}, { hours: options.soakHours, chargerHours: options.soakChargerHours });
  const canary = withGiven(objectOf(plan['canary']), {
    size: options.canary,
    approvals: options.gateApprovals,
  });
  const waves = options.waves?.map((each): Json => ({ size: each })) ?? plan['waves'] ?? defaultWaves(soak);
  const limits = withGiven(objectOf(plan['limits']), {
    inFlight: options.inFlight,
    perSite: options.perSite,
  });
  return withGiven(plan, {
    canary: unlessEmpty(soaked(canary, soak)),
    waves: Array.isArray(waves) ? waves.map((wave) => soaked(objectOf(wave), soak)) : waves,
    holdBack: options.holdBack,
    limits: unlessEmpty(limits),
    approvals: options.approvals,
    deadlineHours: options.deadlineHours,
    watchHours: options.watchHours,
    startAt: options.startAt,
  });
}

/** The service's own default waves, spelt out only where their soak is to be another. */
function defaultWaves(soak: Json): Json[] | undefined {
  if (Object.keys(soak).length === 0) return undefined;
  return [{ size: { share: 0.25 } }, { size: { share: 0.6 } }];
}

function soaked(step: Json, soak: Json): Json {
  const merged = { ...objectOf(step['soak']), ...soak };
  return Object.keys(merged).length === 0 ? step : { ...step, soak: merged };
}

function withGiven(base: Json, given: Json): Json {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...base, ...Object.fromEntries(set) };
}

function unlessEmpty(value: Json): Json | undefined {
  return Object.keys(value).length === 0 ? undefined : value;
}

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

async function readPlan(path: string): Promise<Json> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
    throw new TypeError('not an object');
  } catch (cause) {
    throw new CommandError(EXIT.usage, 'PLAN_UNREADABLE', `${path} is no plan in JSON. Check the file.`, {
      cause,
    });
  }
}
