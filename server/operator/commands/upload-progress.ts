import type { CommandContext } from './context.ts';
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
  const draw = context.draw ?? ((text: string) => process.stderr.write(text));
  let sent = 0;
  let shown = '';
  return {
    chunk: (chunk) => {
      sent += chunk.length;
      const line = `${bar(length === 0 ? 1 : sent / length)} ${Math.floor((100 * sent) / Math.max(1, length))} %  ${name}`;
      if (line !== shown) draw(`\r${line}`);
      shown = line;
    },
    end: () => draw('\n'),
  };
}
