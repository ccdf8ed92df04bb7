/** What people type, checked once, here. */
import { open } from 'node:fs/promises';
import { HARDWARE, ORGANISATION, PRODUCT, VERSION } from '@tidegate/client-sdk/protocol';
import { CommandError } from './errors.ts';

const NAME = /^[a-z][a-z0-9-]{0,31}$/;

/** `a,b,c` as a list of people: well-formed, no one twice. */
export function peopleList(option: string, text: string): string[] {
  const names = list(text);
  const wrong = names.find((name) => !NAME.test(name));
  if (wrong !== undefined) throw new CommandError('NAME_INVALID', `${option} ${wrong}`);
  if (new Set(names).size !== names.length) throw new CommandError('NAMES_REPEATED', `${option} ${text}`);
  return names;
}

export function organisationId(text: string, option = '--organisation'): string {
  return matching(option, text, ORGANISATION, 'an id in lower-case letters, such as acme');
}

/** @param option how it was given: an option, or the name of an argument. */
export function productId(text: string, option = '--product'): string {
  return matching(option, text, PRODUCT, 'a product id such as acme.dc150');
}

export function versionNumber(option: string, text: string): string {
  return matching(option, text, VERSION, 'a version of three numbers such as 1.2.0');
}

export function hardwareIds(text: string): string[] {
  const allowed = 'a list of hardware ids such as dc150-r2,dc150-r3, each once';
  const ids = list(text).map((id) => matching('--hardware', id, HARDWARE, 'a hardware id such as dc150-r2'));
  if (ids.length === 0 || new Set(ids).size !== ids.length) throw invalidOption('--hardware', text, allowed);
  return ids;
}

/** `<product>@<version>`. */
export function releaseName(text: string): { product: string; version: string } {
  const [product = '', version = '', ...rest] = text.split('@');
  if (rest.length > 0) throw invalidOption('<release>', text, '<product>@<version>, e.g. acme.dc150@1.2.0');
  return {
    product: productId(product, '<release>'),
    version: versionNumber('the version after @', version),
  };
}

/** A whole number within bounds. */
export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) {
    throw invalidOption(option, text, `a whole number from ${least} to ${most}`);
  }
  return value;
}

/** Names the option, what was given, and what would have been right. */
export function invalidOption(option: string, given: string, allowed: string): CommandError {
  const not = given === '' ? 'and is not given' : `not ${JSON.stringify(given)}`;
  return new CommandError('OPTION_INVALID', `${option} takes ${allowed}, ${not}`);
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

/** `a,b,c` */
export function list(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** `left=right`, neither of them empty. */
export function pair(option: string, text: string, example: string): [string, string] {
  const [left, right] = split(text, '=');
  if (left === '' || right === undefined || right === '') throw invalidOption(option, text, example);
  return [left, right];
}

/** At the first one. */
export function split(text: string, at: string): [string, string | undefined] {
  const i = text.indexOf(at);
  return i < 0 ? [text, undefined] : [text.slice(0, i), text.slice(i + 1)];
}

function matching(option: string, text: string, pattern: RegExp, allowed: string): string {
  if (!pattern.test(text)) throw invalidOption(option, text, allowed);
  return text;
}
