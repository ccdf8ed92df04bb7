/** One performance: sets the stage, plays on it, tells what came of it, and leaves nothing running, however it ends. */
import { awaitInterruption } from './interruption.ts';
import type { DemoOptions } from './options.ts';
import { type Outcome, reportLines, shortcomings, verdictOf } from './report.ts';
import type { Screen } from './screen.ts';
import { clearStage, setStage, type Stage } from './stage.ts';

export type Play = (stage: Stage) => Promise<Omit<Outcome, 'seed' | 'seconds'>>;

/** @returns the exit code: 0 if all of it happened, 1 if not, 128 + n after a signal. */
export async function perform(options: DemoOptions, screen: Screen, play: Play): Promise<number> {
  const started = Date.now();
  const interruption = awaitInterruption();
  const endings: (() => Promise<void>)[] = [];
  let code = 1;
  try {
    screen.say(`Tidegate demo, seed ${options.seed}.`);
    const stage = await setStage(options, screen, interruption.signal, (end) => endings.push(end));
    const played = await play(stage);
    const seconds = Math.round((Date.now() - started) / 1000);
    code = tell({ ...played, seed: options.seed, seconds }, options, screen);
  } catch (error) {
    screen.end();
    screen.say(
      interruption.signal.aborted ? 'Interrupted. Ending what runs…' : `✗ The demo failed: ${said(error)}`,
    );
  }
  for (const end of endings.toReversed()) await end().catch(() => undefined);
  code = interruption.exitCode ?? code;
  await clear(options, screen, code);
  return code;
}

function tell(outcome: Outcome, options: DemoOptions, screen: Screen): number {
  const verdict = verdictOf(outcome);
  for (const line of reportLines(outcome)) screen.say(line);
  const lacks = shortcomings(verdict, outcome.attacks.length);
  for (const lack of lacks) screen.say(`✗ ${lack}`);
  if (options.json) process.stdout.write(`${JSON.stringify(verdict)}\n`);
  return lacks.length === 0 ? 0 : 1;
}

/** What failed can be looked into; what somebody broke off is of no use. */
async function clear({ keep, folder, seed }: DemoOptions, screen: Screen, code: number): Promise<void> {
  if (!keep && code !== 1) {
    await clearStage(folder);
    return;
  }
  screen.say(`State and logs are kept in ${folder}. Repeat the run: npm run demo -- --seed ${seed}`);
}

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));
