/** Lines that are drawn over and over in one place of a terminal. */
import { clip } from './clip.ts';
import type { CommandContext, Terminal } from './context.ts';

export interface Picture {
  show(lines: string[]): void;
  /** Leaves the last picture where it is. */
  end(): void;
}

/** The person's terminal: standard output, which is one wherever `context.tty` says so. */
export function terminalOf(context: CommandContext): Terminal {
  if (context.terminal !== undefined) return context.terminal;
  const { stdout } = process;
  return {
    write: (text) => void stdout.write(text),
    size: () => ({ columns: stdout.columns, rows: stdout.rows }),
    onResize: (changed) => {
      stdout.on('resize', changed);
      return () => void stdout.off('resize', changed);
    },
  };
}

/**
 * No line may wrap and the picture may not be taller than the terminal, or moving up by its height would miss its beginning. A terminal
 * that changes its size may or may not break its lines anew, so that then the whole screen is painted again.
 */
export function picture(terminal: Terminal): Picture {
  let height = 0;
  let last: string[] = [];
  const draw = (before: string): void => {
    const { columns, rows } = terminal.size();
    const room = rows > 1 ? rows - 1 : 23;
    // A line that fills the last column would wrap on some terminals.
    const width = columns > 1 ? columns - 1 : 79;
    const shown = last.slice(0, room).map((line) => clip(line, width));
    height = shown.length;
    terminal.write(`${before}${shown.map((line) => `${line}\n`).join('')}`);
  };
  const stop = terminal.onResize(() => draw('\u001b[H\u001b[2J'));
  return {
    show(lines) {
      last = lines;
      draw(height === 0 ? '' : `\u001b[${height}A\r\u001b[0J`);
    },
    end: stop,
  };
}
