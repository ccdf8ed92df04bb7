/** `npm run fuzz -- [--cases N] [--seed S] [--only NAME]`: hostile bytes against the SDK's code. The seed repeats a run. */
import process from 'node:process';
import { parseArgs } from 'node:util';
import * as fc from 'fast-check';
import { fuzzTargets } from './fuzz-targets.ts';

export interface FuzzOutcome {
  name: string;
  cases: number;
  /** The smallest case that failed, and how to repeat it. */
  failure: string | undefined;
}

/** @param cases in all; each target gets its share. */
export async function fuzz(
  { cases, seed, only }: { cases: number; seed: number; only?: string | undefined },
  tell: (outcome: FuzzOutcome) => void = () => undefined,
): Promise<FuzzOutcome[]> {
  const targets = (await fuzzTargets()).filter(({ name }) => only === undefined || name === only);
  const weights = targets.reduce((sum, { weight }) => sum + weight, 0);
  const outcomes: FuzzOutcome[] = [];
  for (const { name, weight, property } of targets) {
    const numRuns = Math.ceil((cases * weight) / weights);
    const result = await fc.check(property, { seed, numRuns });
    const failure = result.failed
      ? [fc.defaultReportMessage(result) ?? 'failed', ...reasons(result.errorInstance)].join('\n')
      : undefined;
    const outcome = { name, cases: result.numRuns, failure };
    outcomes.push(outcome);
    tell(outcome);
  }
  return outcomes;
}

/** What was thrown, and what had caused it. */
function reasons(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  return [error.stack ?? error.message, ...reasons(error.cause)];
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { cases: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string' } },
  });
  const cases = Number(values.cases ?? 100_000);
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  if (!Number.isSafeInteger(cases) || cases < 1 || !Number.isSafeInteger(seed)) {
    process.stderr.write('Usage: npm run fuzz -- [--cases N] [--seed S] [--only NAME]\n');
    return 2;
  }
  process.stdout.write(`seed ${seed}: repeat with --seed ${seed} --cases ${cases}\n`);
  const outcomes = await fuzz({ cases, seed, only: values.only }, ({ name, cases: run, failure }) => {
    process.stdout.write(`${failure === undefined ? ' ' : '✗'} ${name}: ${run} cases\n`);
    if (failure !== undefined) process.stdout.write(`${failure}\n`);
  });
  const summary = {
    cases: outcomes.reduce((sum, { cases: run }) => sum + run, 0),
    failures: outcomes.filter(({ failure }) => failure !== undefined).length,
    seed,
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  return summary.failures === 0 && outcomes.length > 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
