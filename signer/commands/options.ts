/** What people type, checked once, here. */
import { open } from 'node:fs/promises';
import { HARDWARE, ORGANISATION, PRODUCT, VERSION } from '@tidegate/client-sdk/protocol';
import { CommandError } from './errors.ts';

const NAME = /^[a-z][a-z0-9-]{0,31}$/;

/** `a,b,c` as a list of people: well-formed, no one twice. */
export function peopleList(text: string): string[] {
  const names = list(text);
  for (const name of names) if (!NAME.test(name)) throw new CommandError('NAME_INVALID', name);
  if (new Set(names).size !== names.length) throw new CommandError('NAMES_REPEATED', text);
  return names;
}

export function organisationId(text: string): string {
  return matching('--organisation', text, ORGANISATION);
}

export function productId(text: string): string {
  return matching('--product', text, PRODUCT);
}

export function versionNumber(option: string, text: string): string {
  return matching(option, text, VERSION);
}

export function hardwareIds(text: string): string[] {
  const ids = list(text).map((id) => matching('--hardware', id, HARDWARE));
  if (ids.length === 0 || new Set(ids).size !== ids.length)
    throw new CommandError('OPTION_INVALID', `--hardware ${text}`);
  return ids;
}

/** A whole number within bounds. */
export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw new CommandError('OPTION_INVALID', `${option} ${text}`);
  return value;
}

/** Collects the values of an option that may be given more than once. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

/**
 * Reads a small file.
 * @throws CommandError `FILE_UNREADABLE`, `FILE_TOO_LARGE`.
 */
export async function readSmallFile(path: string, limit: number): Promise<Buffer> {
  const handle = await open(path, 'r').catch(unreadable(path));
  try {
    const { size } = await handle.stat();
    if (size > limit) throw new CommandError('FILE_TOO_LARGE', path);
    return await handle.readFile().catch(unreadable(path));
  } finally {
    await handle.close();
  }
}

export function unreadable(path: string): (cause: unknown) => never {
  return (cause) => {
    throw new CommandError('FILE_UNREADABLE', path, { cause });
  };
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function matching(option: string, text: string, pattern: RegExp): string {
  if (!pattern.test(text)) throw new CommandError('OPTION_INVALID', `${option} ${text}`);
  return text;
}
