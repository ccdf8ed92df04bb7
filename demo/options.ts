import { randomInt } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';

export const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

export interface DemoOptions {
  seed: number;
  json: boolean;
  /** Keep the demo's folder with its state and logs. */
  keep: boolean;
  port: number;
  /** Where it all happens; emptied at the beginning. */
  folder: string;
}

export function parseOptions(args: string[]): DemoOptions {
  const options = new Command('npm run demo --')
    .description(
      'The main job on one machine: a good release goes out, a bad one is taken back by itself, five attacks are refused.',
    )
    .option('--seed <number>', 'repeat a run', whole)
    .option('--port <number>', 'port of the service; 0 takes a free one', portNumber, 8443)
    .option(
      '--folder <folder>',
      'where it all happens; emptied at the beginning',
      path.join(ROOT, '.tidegate', 'demo'),
    )
    .option('--keep', 'keep the state and logs', false)
    .option('--json', 'print the verdict as JSON in the last line', false)
    .addHelpText('after', '\nExamples:\n  npm run demo\n  npm run demo -- --seed 7\n  npm run demo -- --json')
    .parse(args, { from: 'user' })
    .opts<Omit<DemoOptions, 'seed'> & { seed?: number }>();
  return { ...options, folder: path.resolve(options.folder), seed: options.seed ?? randomInt(1, 2 ** 31) };
}

function whole(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

export function portNumber(text: string): number {
  const port = whole(text);
  if (port > 65_535) throw new InvalidArgumentError('A port is a number between 0 and 65535.');
  return port;
}
