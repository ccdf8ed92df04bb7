/** Reading what a service or a file said, as JSON: whatever does not fit is one error, and never a crash further on. */

/** @throws TypeError, as all here. */
export function jsonOf(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
}

export function member(value: unknown, name: string): unknown {
  const found = optionalMember(value, name);
  if (found === undefined) throw new TypeError(`no ${name}`);
  return found;
}

export function optionalMember(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('no object');
  const found: unknown = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  return found ?? undefined;
}

export function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('no text');
  return value;
}

/** At most `most` of them. */
export function list(value: unknown, most: number): unknown[] {
  if (!Array.isArray(value) || value.length > most) throw new TypeError(`no list of up to ${most}`);
  return value as unknown[];
}

/** A whole number, as protobuf's JSON writes it: a number, or a string of digits; left out where it is 0. */
export function count(value: unknown): string {
  const digits = typeof value === 'number' ? String(value) : (value ?? '0');
  if (typeof digits !== 'string' || !/^\d{1,19}$/.test(digits)) throw new TypeError('no whole number');
  return digits;
}

export function base64(value: unknown): Buffer {
  const said = text(value);
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(said) || said.length % 4 !== 0) throw new TypeError('no base64');
  return Buffer.from(said, 'base64');
}

export function hex(value: unknown): Buffer {
  const said = text(value);
  if (!/^([0-9a-f]{2})+$/i.test(said)) throw new TypeError('no hex');
  return Buffer.from(said, 'hex');
}
