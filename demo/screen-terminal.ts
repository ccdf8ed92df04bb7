/**
 * On a terminal: lines above, bars below that are drawn in place. No line of the region may wrap, or moving up by its height would miss
 * its beginning; and a terminal that changes its size may or may not break lines anew, so that then the whole screen is painted again.
 */
import { clip } from '@tidegate/server/operator/commands';
import type { Bar, Screen } from './screen.ts';

/** Columns of a bar: what the rest of the line leaves, within reason. */
const BAR = { shortest: 8, longest: 28, rest: 66 } as const;
const REDRAW_MS = 100;
/** Lines that are kept for painting the screen again. */
const KEPT = 200;

/** What is used of a `tty.WriteStream`. */
interface Terminal {
  readonly columns: number;
  readonly rows: number;
  write(text: string): boolean;
  on(event: 'resize', listener: () => void): unknown;
}

export function terminal(stream: Terminal): Screen {
  const above: { text: string; breaks: boolean }[] = [];
  let region: readonly Bar[] = [];
  let height = 0;
  let drawnAt = 0;
  const columns = (): number => (stream.columns > 0 ? stream.columns : 80);
  const rows = (): number => (stream.rows > 0 ? stream.rows : 24);

  const wipe = (): string => (height > 0 ? `\u001b[${height}A\r\u001b[0J` : '');
  const drawn = (): string => {
    const lines = region.slice(0, rows() - 1).map((bar) => drawBar(bar, columns()));
    height = lines.length;
    return lines.map((line) => `${line}\n`).join('');
  };
  const add = (text: string, breaks: boolean): void => {
    above.push({ text, breaks });
    if (above.length > KEPT) above.shift();
    const lines = breaks ? wrapped(text, columns()) : [text];
    stream.write(`${wipe()}${lines.map((line) => `${line}\n`).join('')}${drawn()}`);
  };
  const paint = (): void => {
    const lines = above.flatMap(({ text, breaks }) => (breaks ? wrapped(text, columns()) : [text]));
    const room = rows() - 1 - Math.min(region.length, rows() - 1);
    const shown = lastThatFit(lines, columns(), room);
    stream.write(`\u001b[H\u001b[2J${shown.map((line) => `${line}\n`).join('')}${drawn()}`);
  };
  stream.on('resize', paint);

  return {
    say: (line) => add(line, true),
    command: (line) => add(line, false),
    bars(bars) {
      region = bars;
      const now = Date.now();
      if (now - drawnAt < REDRAW_MS) return;
      drawnAt = now;
      stream.write(`${wipe()}${drawn()}`);
    },
    end() {
      region = [];
      stream.write(wipe());
      height = 0;
    },
  };
}

/** One line, at most one column less than there are: a full line would wrap on some terminals. */
export function drawBar({ label, share, state, note }: Bar, columns: number): string {
  const width = Math.min(BAR.longest, Math.max(BAR.shortest, columns - BAR.rest));
  const filled = Math.round(Math.min(1, Math.max(0, share)) * width);
  const bar = '█'.repeat(filled) + '░'.repeat(width - filled);
  return clip(`  ${label.padEnd(9)} ${bar} ${state.padEnd(7)} ${note}`, columns - 1);
}

/** Broken between words, the later lines indented like the first and two columns more. */
export function wrapped(text: string, columns: number): string[] {
  const width = columns - 1;
  if (text.length <= width) return [text];
  const indent = `${/^ */.exec(text)?.[0] ?? ''}  `;
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/(?<=\S)(?= )/)) {
    if (line === '') line = lines.length === 0 ? word : indent + word.trimStart();
    else if (line.length + word.length <= width) line += word;
    else {
      lines.push(line);
      line = indent + word.trimStart();
    }
  }
  return [...lines, line];
}

/** The last lines that fill at most `room` rows, long ones as the terminal breaks them. */
function lastThatFit(lines: readonly string[], columns: number, room: number): string[] {
  let taken = 0;
  let from = lines.length;
  for (; from > 0; from--) {
    taken += Math.max(1, Math.ceil((lines[from - 1]?.length ?? 0) / columns));
    if (taken > room) break;
  }
  return lines.slice(from);
}
