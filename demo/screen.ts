/**
 * What a person sees of long work: on a terminal a small region of bars that redraws in place, elsewhere one plain line whenever something changed.
 */
import type { WriteStream } from 'node:tty';

export interface Bar {
  label: string;
  /** 0 to 1. */
  share: number;
  note: string;
}

export interface Screen {
  /** A line that stays. */
  say(line: string): void;
  /** The region below; an empty list clears it. */
  bars(bars: Bar[]): void;
  /** Clears the region. */
  end(): void;
}

const WIDTH = 28;
const REDRAW_MS = 100;

export function openScreen(stream: WriteStream | NodeJS.WritableStream): Screen {
  return 'isTTY' in stream && stream.isTTY ? terminal(stream) : plain(stream);
}

function terminal(stream: WriteStream): Screen {
  let shown = 0;
  let drawnAt = 0;
  const clear = (): void => {
    if (shown > 0) stream.write(`\u001b[${shown}A\u001b[0J`);
    shown = 0;
  };
  return {
    say(line) {
      clear();
      stream.write(`${line}\n`);
    },
    bars(bars) {
      const now = Date.now();
      if (bars.length > 0 && now - drawnAt < REDRAW_MS) return;
      drawnAt = now;
      clear();
      const columns = stream.columns > 0 ? stream.columns : 80;
      for (const bar of bars) stream.write(`${draw(bar).slice(0, columns - 1)}\n`);
      shown = bars.length;
    },
    end: clear,
  };
}

function draw({ label, share, note }: Bar): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * WIDTH);
  return `  ${label.padEnd(14)} ${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)} ${note}`;
}

function plain(stream: NodeJS.WritableStream): Screen {
  const last = new Map<string, string>();
  return {
    say(line) {
      stream.write(`${line}\n`);
    },
    bars(bars) {
      for (const { label, note } of bars) {
        if (last.get(label) === note) continue;
        last.set(label, note);
        stream.write(`  ${label}: ${note}\n`);
      }
    },
    end() {
      last.clear();
    },
  };
}
