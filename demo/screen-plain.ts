/** Off a terminal, in a log: a line for each bar when its state changes, at each quarter, and for what it said last. */
import type { Bar, Screen } from './screen.ts';

const PARTS = 4;

export function plain(stream: Pick<NodeJS.WritableStream, 'write'>): Screen {
  const told = new Map<string, { state: string; part: number; line: string }>();
  let latest: readonly Bar[] = [];
  const tell = (bar: Bar): void => {
    const line = `  ${bar.label}: ${bar.state.padEnd(7)}  ${bar.note}`;
    if (told.get(bar.label)?.line === line) return;
    told.set(bar.label, { state: bar.state, part: partOf(bar), line });
    stream.write(`${line}\n`);
  };
  const write = (line: string): void => {
    stream.write(`${line}\n`);
  };
  return {
    say: write,
    command: write,
    bars(bars) {
      latest = bars;
      for (const bar of bars) {
        const before = told.get(bar.label);
        if (before?.state !== bar.state || before.part !== partOf(bar)) tell(bar);
      }
    },
    end() {
      for (const bar of latest) tell(bar);
      latest = [];
      told.clear();
    },
  };
}

const partOf = ({ share }: Bar): number => Math.floor(Math.min(1, Math.max(0, share)) * PARTS);
