import { randomInt } from 'node:crypto';
import { Command, InvalidArgumentError } from 'commander';

export interface DemoOptions {
  seed: number;
  json: boolean;
  /** Keep the demo's folder with its state and logs. */
  keep: boolean;
  port: number;
}

export function parseOptions(args: string[]): DemoOptions {
  const options = new Command('npm run demo --')
    .description(
      'The main job on one machine: a good release goes out, a bad one is taken back by itself, five attacks are refused.',
    )
    .option('--seed <number>', 'repeat a run', whole)
    .option('--port <number>', 'port of the service', whole, 8443)
    .option('--keep', 'keep the state and logs in .tidegate/demo', false)
    .option('--json', 'print the verdict as JSON in the last line', false)
    .addHelpText('after', '\nExamples:\n  npm run demo\n  npm run demo -- --seed 7\n  npm run demo -- --json')
    .parse(args, { from: 'user' })
    .opts<{ seed?: number; json: boolean; keep: boolean; port: number }>();
  return { ...options, seed: options.seed ?? randomInt(1, 2 ** 31) };
}

function whole(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}
