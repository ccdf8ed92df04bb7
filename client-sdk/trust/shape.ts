/**
 * Closed parsing of JSON from strangers: a reader says what a value may be, and everything else throws a `ShapeError` with the place.
 * Names come from the other side, so objects are read by own keys only and handed on without a prototype.
 */

export class ShapeError extends Error {
  override readonly name = 'ShapeError';
  constructor(at: string, expected: string) {
    super(`${at === '' ? 'the document' : at} must be ${expected}`);
  }
}

/** Reads a value found at `at` (a JSON pointer), or throws. */
export type Reader<T> = (value: unknown, at: string) => T;

export type Shape = Record<string, Reader<unknown>>;
export type Read<S extends Shape> = { [K in keyof S]: ReturnType<S[K]> };

/** @throws ShapeError when it is longer than `maxBytes`, no UTF-8, or no JSON. */
export function parseJson(bytes: Uint8Array, maxBytes: number): unknown {
  if (bytes.length > maxBytes) throw new ShapeError('', `at most ${maxBytes} bytes`);
  return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
}

/** Own keys only, so that `constructor` or `__proto__` from outside never reaches `Object.prototype`. */
export function own(value: unknown, at: string): Map<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ShapeError(at, 'an object');
  return new Map(Object.entries(value));
}

/** An object with exactly these members; those in `optional` may be missing. */
export function object<S extends Shape>(shape: S): Reader<Read<S>>;
export function object<S extends Shape, O extends Shape>(
  shape: S,
  optional: O,
): Reader<Read<S> & Partial<Read<O>>>;
export function object(shape: Shape, optional: Shape = {}): Reader<Record<string, unknown>> {
  const known = new Map([...Object.entries(shape), ...Object.entries(optional)]);
  return (value, at) => {
    const members = own(value, at);
    for (const name of members.keys()) {
      if (!known.has(name)) throw new ShapeError(`${at}/${printable(name)}`, 'absent: it is not known here');
    }
    return readMembers(members, known, optional, at);
  };
}

/** An object with at least these members. TUF 4.1: unknown members must be tolerated, and they stay under the signature. */
export function openObject<S extends Shape>(shape: S): Reader<Read<S>>;
export function openObject<S extends Shape, O extends Shape>(
  shape: S,
  optional: O,
): Reader<Read<S> & Partial<Read<O>>>;
export function openObject(shape: Shape, optional: Shape = {}): Reader<Record<string, unknown>> {
  const known = new Map([...Object.entries(shape), ...Object.entries(optional)]);
  return (value, at) => readMembers(own(value, at), known, optional, at);
}

function readMembers(
  members: Map<string, unknown>,
  known: Map<string, Reader<unknown>>,
  optional: Shape,
  at: string,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, read] of known) {
    if (members.has(name)) result[name] = read(members.get(name), `${at}/${name}`);
    else if (!Object.hasOwn(optional, name)) throw new ShapeError(`${at}/${name}`, 'present');
  }
  return result;
}

/** An object whose member names are data. */
export function mapOf<T>(name: RegExp, read: Reader<T>, maxEntries: number): Reader<Map<string, T>> {
  return (value, at) => {
    const members = own(value, at);
    if (members.size > maxEntries) throw new ShapeError(at, `at most ${maxEntries} entries`);
    const result = new Map<string, T>();
    for (const [key, member] of members) {
      const place = `${at}/${printable(key)}`;
      if (!name.test(key)) throw new ShapeError(place, `named like ${name.source}`);
      result.set(key, read(member, place));
    }
    return result;
  };
}

/** Like `mapOf`, as an object without a prototype. */
export function recordOf<T>(name: RegExp, read: Reader<T>, maxEntries: number): Reader<Record<string, T>> {
  const asMap = mapOf(name, read, maxEntries);
  return (value, at) => {
    const record = Object.create(null) as Record<string, T>;
    for (const [key, member] of asMap(value, at)) record[key] = member;
    return record;
  };
}

export function arrayOf<T>(read: Reader<T>, maxItems: number, minItems = 0): Reader<T[]> {
  return (value, at) => {
    if (!Array.isArray(value) || value.length > maxItems || value.length < minItems) {
      throw new ShapeError(at, `a list of ${minItems} to ${maxItems} items`);
    }
    return value.map((item, i) => read(item, `${at}/${i}`));
  };
}

export function text(maxLength: number, pattern?: RegExp): Reader<string> {
  return (value, at) => {
    if (typeof value !== 'string' || value.length > maxLength) {
      throw new ShapeError(at, `a text of at most ${maxLength} characters`);
    }
    if (pattern !== undefined && !pattern.test(value)) throw new ShapeError(at, `like ${pattern.source}`);
    return value;
  };
}

export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Reader<number> {
  return (value, at) => {
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
      throw new ShapeError(at, `a whole number from ${min} to ${max}`);
    }
    return value as number;
  };
}

export const truth: Reader<boolean> = (value, at) => {
  if (typeof value !== 'boolean') throw new ShapeError(at, 'true or false');
  return value;
};

export function oneOf<const T extends string | boolean>(...allowed: readonly T[]): Reader<T> {
  return (value, at) => {
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) throw new ShapeError(at, `one of ${allowed.join(', ')}`);
    return found;
  };
}

export function nullable<T>(read: Reader<T>): Reader<T | null> {
  return (value, at) => (value === null ? null : read(value, at));
}

export const anything: Reader<unknown> = (value) => value;

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/;

/** RFC 3339 in UTC with whole seconds, as text. A day that does not exist, such as 31 February, is refused. */
export const instant: Reader<string> = (value, at) => {
  const read = text(20, INSTANT)(value, at);
  const ms = Date.parse(read);
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== read.replace('Z', '.000Z')) {
    throw new ShapeError(at, 'a time that exists');
  }
  return read;
};

/** Like `instant`, in milliseconds. */
export const instantMs: Reader<number> = (value, at) => Date.parse(instant(value, at));

/** Names from outside go into messages and logs. */
function printable(name: string): string {
  return JSON.stringify(name.slice(0, 64)).slice(1, -1);
}
