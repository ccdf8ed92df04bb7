/** `npm run demo`: the main job on one machine, and five attacks. */
import { play } from './demo.ts';
import { parseOptions } from './options.ts';
import { type Outcome, reportLines, shortcomings, verdictOf } from './report.ts';
import { openScreen } from './screen.ts';
import { clearStage, setStage } from './stage.ts';

const started = Date.now();
const options = parseOptions(process.argv.slice(2));
// With --json standard output holds the verdict and nothing else.
const screen = openScreen(options.json ? process.stderr : process.stdout);
const ending = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort());
const endings: (() => Promise<void>)[] = [];

try {
  screen.say(`Tidegate demo, seed ${options.seed}.`);
  const stage = await setStage(options, screen, ending.signal, (end) => endings.push(end));
  const played = await play(stage);
  tell({ ...played, seed: options.seed, seconds: Math.round((Date.now() - started) / 1000) });
} catch (error) {
  screen.end();
  screen.say(
    ending.signal.aborted
      ? '✗ Interrupted.'
      : `✗ The demo failed: ${error instanceof Error ? error.message : String(error)}`,
  );
  process.exitCode = 1;
}
for (const end of endings.toReversed()) await end().catch(() => undefined);
if (options.keep || process.exitCode === 1) {
  screen.say(
    `State and logs are kept in ${options.folder}. Repeat the run: npm run demo -- --seed ${options.seed}`,
  );
} else {
  await clearStage(options.folder);
}

function tell(outcome: Outcome): void {
  const verdict = verdictOf(outcome);
  for (const line of reportLines(outcome)) screen.say(line);
  for (const lack of shortcomings(verdict, outcome.attacks.length)) {
    screen.say(`✗ ${lack}`);
    process.exitCode = 1;
  }
  if (options.json) process.stdout.write(`${JSON.stringify(verdict)}\n`);
}
