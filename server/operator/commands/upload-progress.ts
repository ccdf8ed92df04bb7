import type { CommandContext } from './context.ts';
import { clip } from './clip.ts';
import { terminalOf } from './picture.ts';
import { bar } from './table.ts';

/** A bar on a terminal; off it, one line when the upload begins. Nothing with `--json`. */
export function uploadProgress(
  context: CommandContext,
  upload: { name: string; length: number; interactive: boolean; json: boolean },
): { chunk: (chunk: Buffer) => void; end: () => void } {
  const { name, length, interactive, json } = upload;
  if (!interactive) {
    if (!json) context.err(`Uploading ${name}`);
    return { chunk: () => undefined, end: () => undefined };
  }
  const terminal = terminalOf(context);
  let sent = 0;
  let shown = '';
  return {
    chunk: (chunk) => {
      sent += chunk.length;
      const line = `${bar(length === 0 ? 1 : sent / length)} ${Math.floor((100 * sent) / Math.max(1, length))} %  ${name}`;
      const { columns } = terminal.size();
      if (line !== shown) terminal.write(`\r${clip(line, (columns > 1 ? columns : 80) - 1)}`);
      shown = line;
    },
    end: () => terminal.write('\n'),
  };
}
