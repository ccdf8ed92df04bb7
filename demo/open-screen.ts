import type { WriteStream } from 'node:tty';
import { plain } from './screen-plain.ts';
import { terminal } from './screen-terminal.ts';
import type { Screen } from './screen.ts';

/** In place on a terminal, plain lines elsewhere. */
export function openScreen(stream: WriteStream | NodeJS.WritableStream): Screen {
  return 'isTTY' in stream && stream.isTTY ? terminal(stream) : plain(stream);
}
