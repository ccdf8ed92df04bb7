import type { Command } from 'commander';
import type { RolloutView } from '../rollout-view.ts';
import type { CommandContext } from './context.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { table } from './table.ts';

interface Figures {
  events: number;
  exposure: number;
}

interface Why extends Pick<RolloutView, 'status' | 'evidence' | 'pausedBecause' | 'holding' | 'waits'> {
  signals: {
    signal: string;
    comparison: 'concurrent' | 'earlier';
    m: number | null;
    threshold: number;
    treated: Figures;
    control: Figures;
    expected: number;
  }[];
  hard: { chargers: number; sites: number; code: string | null };
  failed: { serial: string; state: string; code: string | null; detail: string | null }[];
}

export function whyCommand(context: CommandContext): Command {
  return newCommand(
    'why <id>',
    'Say why a rollout is where it is: the evidence, and what the detector sees',
    ['rollout why r-20261122-ab12cd'],
  ).action((id: string, options: CommonOptions) =>
    run(context, options, async ({ service }) => {
      const why = await service.get<Why>(`/rollouts/${encodeURIComponent(id)}/why`);
      return { json: why, lines: describe(why) };
    }),
  );
}

function describe({ status, evidence, pausedBecause, holding, waits, signals, hard, failed }: Why): string[] {
  const lines = [`It is ${status}.`];
  if (evidence !== null) lines.push(`Halted: ${evidence.sentence}`);
  if (pausedBecause !== null) lines.push(`Paused: ${pausedBecause}`);
  if (holding !== null) lines.push(`Held: ${holding}`);
  lines.push(...waits);
  if (hard.chargers > 0) {
    lines.push(`Hard events on ${hard.chargers} chargers at ${hard.sites} sites (${hard.code ?? ''}).`);
  }
  if (signals.length === 0) lines.push('The detector has nothing to compare yet.');
  else lines.push('What the detector sees (it halts when M reaches the threshold):', ...signalTable(signals));
  for (const { serial, state, code, detail } of failed) {
    lines.push(`${serial}  ${state}  ${code ?? ''}  ${detail ?? ''}`.trimEnd());
  }
  return lines;
}

function signalTable(signals: Why['signals']): string[] {
  return table(
    ['SIGNAL', 'TREATED', 'EXPECTED', 'CONTROL', 'M', 'THRESHOLD'],
    signals.map(({ signal, comparison, m, threshold, treated, control, expected }) => [
      comparison === 'concurrent' ? signal : `${signal}, against earlier`,
      treated.events,
      expected.toFixed(1),
      control.events,
      m === null ? 'beyond all numbers' : m.toPrecision(3),
      threshold.toFixed(0),
    ]),
  );
}
