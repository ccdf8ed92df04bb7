/** The fenced blocks of a Markdown page, and what they say of themselves. */

export interface Block {
  /** The nearest heading above. */
  heading: string;
  /** Line of the fence, from 1. */
  line: number;
  language: string;
  /** The rest of the fence's info string: `terminal=service` is `{ terminal: 'service' }`. */
  info: Record<string, string>;
  text: string;
}

/** A command block, with the output that the reader is told to expect after it. */
export interface Step extends Block {
  expected: string[];
}

export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  let open: (Block & { lines: string[] }) | undefined;
  for (const [i, line] of markdown.split('\n').entries()) {
    const fence = /^```(\w*) ?(.*)$/.exec(line);
    if (open === undefined) {
      if (fence) open = { heading, line: i + 1, ...infoOf(fence), text: '', lines: [] };
      else heading = /^#+ (.+)$/.exec(line)?.[1] ?? heading;
    } else if (fence) {
      const { lines, ...block } = open;
      blocks.push({ ...block, text: lines.join('\n') });
      open = undefined;
    } else {
      open.lines.push(line);
    }
  }
  if (open !== undefined) throw new Error(`The fence of line ${open.line} is not closed.`);
  return blocks;
}

/** What a reader types, in order. A `text` block without a mark of its own belongs to the commands before it. */
export function stepsOf(blocks: readonly Block[]): Step[] {
  const steps: Step[] = [];
  for (const block of blocks) {
    if (block.language === 'sh' && block.info['in'] === undefined) steps.push({ ...block, expected: [] });
    const last = steps.at(-1);
    const output = block.language === 'text' && block.info['in'] === undefined;
    if (output && last) last.expected.push(...block.text.split('\n').filter((line) => line.trim() !== ''));
  }
  return steps;
}

/** The expected lines that `output` lacks: `…` stands for anything within a line, and the width of spaces does not count. */
export function missing(output: string, expected: readonly string[]): string[] {
  return expected.filter((line) => !patternOf(line).test(output));
}

function patternOf(line: string): RegExp {
  const parts = line.trim().split(/(…|\s+)/);
  const source = parts.map((part) => {
    if (part === '…') return '[^\\n]*';
    return /^\s+$/.test(part) ? '[ ]+' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(source.join(''));
}

function infoOf([, language = '', rest = '']: RegExpExecArray): Pick<Block, 'language' | 'info'> {
  const pairs = rest.split(' ').filter((word) => word !== '');
  return { language, info: Object.fromEntries(pairs.map((pair) => pair.split('=', 2) as [string, string])) };
}
