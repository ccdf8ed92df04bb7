/**
 * `npm run attacks`: every attack that the design names against a real charger, each beside its twin without the attack.
 * Writes `out/attacks.json`, and ends with one line of JSON; exit code 0 only if everything went as expected.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { tryAttack, type Outcome } from './attack.ts';
import { certificates } from './line.ts';
import { CHAPTERS, inParallel } from './suite.ts';

const OUT = join(import.meta.dirname, '..', '..', 'out');

async function main(args: string[]): Promise<number> {
  const json = args.includes('--json');
  const only = args.find((arg) => !arg.startsWith('--'));
  const held = await certificates();
  const outcomes: (Outcome & { chapter: string })[] = [];
  for (const { title, attacks } of CHAPTERS) {
    const chosen = attacks.filter(({ name }) => only === undefined || name.includes(only));
    if (chosen.length === 0) continue;
    const played = await inParallel(chosen, (attack) => tryAttack(attack, held));
    outcomes.push(...played.map((outcome) => ({ chapter: title, ...outcome })));
    if (!json) print(title, played);
  }
  await mkdir(OUT, { recursive: true });
  await writeFile(join(OUT, 'attacks.json'), `${JSON.stringify(outcomes, null, 2)}\n`);
  const summary = {
    attacks: outcomes.length,
    asExpected: outcomes.filter(({ asExpected }) => asExpected).length,
    twinsInstalled: outcomes.filter(({ twinInstalled }) => twinInstalled).length,
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  const { attacks, asExpected, twinsInstalled } = summary;
  return attacks > 0 && asExpected === attacks && twinsInstalled === attacks ? 0 : 1;
}

function print(title: string, outcomes: Outcome[]): void {
  const rows = outcomes.map((each) => [
    each.asExpected && each.twinInstalled ? ' ' : '✗',
    each.name,
    each.compromised,
    each.expected,
    each.seen,
    each.twin,
  ]);
  const table = [['', 'attack', 'who is compromised', 'expected', 'seen', 'twin'], ...rows];
  const widths = table.reduce<number[]>(
    (widest, row) => row.map((cell, i) => Math.max(widest[i] ?? 0, cell.length)),
    [],
  );
  process.stdout.write(`\n${title}\n`);
  for (const row of table) {
    process.stdout.write(
      `${row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
  }
}

process.exitCode = await main(process.argv.slice(2));
