/** Lines for a person to paste into another terminal. */
import path from 'node:path';
import { ROOT } from './options.ts';

/** A word as POSIX shells read it: plain where it may be, else in single quotes, which nothing but a single quote ends. */
export function quoted(word: string): string {
  return /^[\w/.,:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** A command line of `tidegate`, from wherever it is pasted. */
export function tidegateLine(...words: string[]): string {
  return [path.join(ROOT, 'bin', 'tidegate'), ...words].map(quoted).join(' ');
}

export function credentialLine(file: string): string {
  return `export TIDEGATE_CREDENTIAL=${quoted(file)}`;
}
