/** Questions to a person at a terminal. Whoever closes it instead of answering has said nothing. */
import { createInterface, type Interface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { CommandContext } from './context.ts';

type Asking = Pick<CommandContext, 'prompt'>;

/** Yes only if the person says so. */
export async function confirm({ prompt }: Asking, question: string): Promise<boolean> {
  const { input, output } = prompt ?? { input: process.stdin, output: process.stderr };
  if (input.readableEnded) return false;
  const answer = await answerTo(createInterface({ input, output }), `${question} [y/N] `);
  return /^y(es)?$/i.test(answer.trim());
}

/** What is typed does not appear. */
export async function askSecret({ prompt }: Asking, question: string): Promise<string> {
  const { input, output } = prompt ?? { input: process.stdin, output: process.stderr };
  if (input.readableEnded) return '';
  output.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const answer = await answerTo(createInterface({ input, output: nowhere, terminal: true }), '');
  output.write('\n');
  return answer;
}

async function answerTo(reader: Interface, question: string): Promise<string> {
  const closed = new Promise<string>((done) => reader.once('close', () => done('')));
  try {
    return await Promise.race([reader.question(question), closed]);
  } finally {
    reader.close();
  }
}
