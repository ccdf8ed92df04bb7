import type { RolloutEvent } from '@tidegate/rollout/core';
import { Stage } from './stage.ts';

const HOUR = 3_600_000;

/** What a line that starts with `$` may say, and what happens then. */
const COMMANDS: [RegExp, (stage: Stage, print: (line: string) => void, ...words: string[]) => void][] = [
  [
    /^(\w+) (submits|approves|pauses|resumes|halts|rolls back|cancels): (.+)$/,
    (stage, _, by, verb, reason) => stage.person(personEvent(by ?? '', verb ?? '', reason ?? '')),
  ],
  [/^(\d+) h pass$/, (stage, _, hours) => stage.wait(Number(hours))],
  [/^status$/, (stage, print) => stage.status().forEach(print)],
  [
    /^each hour brings (\d+) faults? with 2\.0\.0 and (\d+) without$/,
    (stage, _, treated, control) => (stage.faults = { treated: Number(treated), control: Number(control) }),
  ],
  [
    /^(\d+) of the next chargers fail with (\w+)$/,
    (stage, _, count, code) => stage.next(Number(count), { fails: code ?? '' }),
  ],
  [
    /^(\d+) of the next chargers (?:is|are) silent$/,
    (stage, _, count) => stage.next(Number(count), 'is silent'),
  ],
  [/^the silent report again$/, (stage) => stage.wakeUp()],
  [/^(\d+) chargers? on 2\.0\.0 falls? silent$/, (stage, _, count) => stage.fallSilent(Number(count))],
  [/^no charger reports$/, (stage) => (stage.reporting = false)],
  [/^the chargers report again$/, (stage) => (stage.reporting = true)],
  [/^no charger without 2\.0\.0 reports$/, (stage) => (stage.controlReporting = false)],
  [/^the chargers without 2\.0\.0 report again$/, (stage) => (stage.controlReporting = true)],
  [
    /^so far (\d+) chargers? on 2\.0\.0, at (\d+) sites?, (?:has|have) reported (\w+)$/,
    (stage, _, count, sites, code) => stage.hardEvents(Number(count), Number(sites), code ?? ''),
  ],
  [
    /^(\d+) chargers? on 2\.0\.0 (?:has|have) no signed way back$/,
    (stage, _, count) => stage.withoutFallback(Number(count)),
  ],
];

const VERBS: Record<string, Exclude<RolloutEvent['kind'], 'tick'>> = {
  submits: 'submit',
  approves: 'approve',
  pauses: 'pause',
  resumes: 'resume',
  halts: 'halt',
  'rolls back': 'rollback',
  cancels: 'cancel',
};

function personEvent(by: string, verb: string, reason: string): RolloutEvent {
  const kind = VERBS[verb];
  if (kind === undefined) throw new Error(`No such verb: ${verb}`);
  return { kind, by, reason };
}

/**
 * Plays a transcript: keeps its prose and its commands (`$ …`), and writes below each command what the real core decided, with the hour at
 * which it did. What stood there before is dropped, so that the played transcript equals the golden one exactly when nothing has changed.
 */
export function play(transcript: string): string {
  const lines: string[] = [];
  const print = (line: string) => lines.push(`${String(stage.now / HOUR).padStart(5)} h  ${line}`);
  const stage: Stage = new Stage(print);
  for (const line of transcript.trimEnd().split('\n')) {
    if (/^ *\d+ h {2}/.test(line)) continue;
    lines.push(line);
    if (line.startsWith('$ ')) run(stage, line.slice(2), print);
  }
  return `${lines.join('\n')}\n`;
}

function run(stage: Stage, text: string, print: (line: string) => void): void {
  for (const [pattern, command] of COMMANDS) {
    const match = pattern.exec(text);
    if (match !== null) return command(stage, print, ...match.slice(1));
  }
  throw new Error(`No scenario command says: ${text}`);
}
