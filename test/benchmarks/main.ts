/** `npm run bench -- <name> [--json] [--store s3]`: runs one benchmark. With `--json` its figures are the last line. */
import process from 'node:process';
import { publish } from './publish.ts';
import { upload } from './upload.ts';

export interface Benchmark {
  /** What is measured, in one sentence. */
  what: string;
  /**
   * @param say tells how far it is.
   * @param store what it publishes into, where that can be chosen.
   */
  run(say: (line: string) => void, store: 'file' | 's3'): Promise<Figures>;
}

/** By name, in the unit that the name says. */
export type Figures = Record<string, number>;

const BENCHMARKS: Record<string, Benchmark> = { upload, publish };

async function main(args: string[]): Promise<number> {
  const json = args.includes('--json');
  const [name = ''] = args.filter((arg) => !arg.startsWith('--'));
  const benchmark = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined;
  if (benchmark === undefined) {
    const known = Object.entries(BENCHMARKS).map(([each, { what }]) => `  ${each}  ${what}`);
    process.stderr.write(`Usage: npm run bench -- <name> [--json]\n${known.join('\n')}\n`);
    return 2;
  }
  const at = args.indexOf('--store');
  const store = at !== -1 && args[at + 1] === 's3' ? 's3' : 'file';
  const figures = await benchmark.run((line) => process.stderr.write(`${line}\n`), store);
  const lines = Object.entries(figures).map(([figure, value]) => `${figure}: ${value}`);
  process.stdout.write(json ? `${JSON.stringify(figures)}\n` : `${lines.join('\n')}\n`);
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
