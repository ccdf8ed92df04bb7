import type { AssignmentProgress } from '@tidegate/client-sdk/protocol';
import { createRollout, type Life, parsePlan, type RolloutEvent } from '@tidegate/rollout/core';
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
  [
    /^(\d+) of the next chargers (?:is|are) (offline|slow)$/,
    (stage, _, count, how) => stage.next(Number(count), how === 'slow' ? 'is slow' : 'is offline'),
  ],
  [/^the plan needs (\d+) approvals$/, (stage, _, count) => stage.approvals(Number(count))],
  [/^the offline are back$/, (stage) => stage.connect()],
  [
    /^only (\d+) chargers? (?:is|are) free; the others take part in another rollout$/,
    (stage, _, count) => stage.busy(Number(count)),
  ],
  [/^the other rollout is over$/, (stage) => stage.busy(Infinity)],
  [
    /^(C-\d+) reports ([A-Z_]+)( on its way back)?$/,
    (stage, _, serial, progress, back) =>
      stage.report(serial ?? '', progressOf(progress), back !== undefined),
  ],
  [
    /^(C-\d+) (is offered it|asks whether it may boot|is sent back|is taken out|meets its deadline)$/,
    (stage, _, serial, order) => stage.order(serial ?? '', order as Parameters<Stage['order']>[1]),
  ],
  [/^(C-\d+) comes to run 2\.0\.0, nobody knows how$/, (stage, _, serial) => stage.found(serial ?? '')],
  [
    /^plan (.+) for (\d+) chargers?$/,
    (_, print, plan, population) => printPlan(print, plan ?? '', Number(population)),
  ],
  [
    /^(the role|the way back to|the certificate of the) (\S+) expires in (\d+) h$/,
    (stage, _, kind, subject, hours) =>
      stage.expires(KINDS[kind ?? ''] ?? 'ROLE', subject ?? '', Number(hours)),
  ],
  [
    /^(\d+) % of the (\S+) chargers have a certificate that ends in (\d+) h$/,
    (stage, _, share, product, hours) =>
      stage.expires('CHARGERS', product ?? '', Number(hours), Number(share) / 100),
  ],
  [/^why$/, (stage, print) => stage.why().forEach(print)],
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
    /^somebody reports faults of (\d+) kinds each minute in the name of a charger on 2\.0\.0$/,
    (stage, _, kinds) => stage.steal(Number(kinds)),
  ],
  [/^(\S+) is retired$/, (stage, _, serial) => stage.retire(serial ?? '')],
  [
    /^(\d+) chargers? on 2\.0\.0 (?:has|have) no signed way back$/,
    (stage, _, count) => stage.withoutFallback(Number(count)),
  ],
];

const KINDS: Record<string, Life['kind']> = {
  'the role': 'ROLE',
  'the way back to': 'FALLBACK',
  'the certificate of the': 'CERTIFICATE',
};

const VERBS: Record<string, Exclude<RolloutEvent['kind'], 'tick'>> = {
  submits: 'submit',
  approves: 'approve',
  pauses: 'pause',
  resumes: 'resume',
  halts: 'halt',
  'rolls back': 'rollback',
  cancels: 'cancel',
};

const PROGRESS: Record<AssignmentProgress, true> = {
  DOWNLOADING: true,
  STAGED: true,
  WAITING_WINDOW: true,
  INSTALLING: true,
  VERIFYING: true,
  HEALTHY: true,
  FAILED: true,
  ROLLED_BACK: true,
};

function progressOf(word: string | undefined): AssignmentProgress {
  const progress = (Object.keys(PROGRESS) as AssignmentProgress[]).find((each) => each === word);
  if (progress === undefined) throw new Error(`No charger reports ${word}.`);
  return progress;
}

/** What an operator reads who hands in this plan. */
function printPlan(print: (line: string) => void, json: string, population: number): void {
  const parsed = parsePlan(JSON.parse(json));
  const created = parsed.ok ? createRollout({ ...NEW_ROLLOUT, plan: parsed.plan, population }) : parsed;
  if (created.ok) print('accepted');
  else
    for (const { pointer, code, detail } of created.problems)
      print(`refused: ${code} at ${pointer || '/'}: ${detail}`);
}

const NEW_ROLLOUT = {
  id: 'r-1',
  organisation: 'acme',
  product: 'acme.dc150',
  release: { path: 'acme.dc150/2.0.0', version: '2.0.0', sha256: 'b'.repeat(64), length: 1 },
  author: 'alice',
  seed: 'scenario',
  now: 0,
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
