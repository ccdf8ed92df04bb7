/** Ways to change signed bytes: bits and cuts, the structure of the JSON, and what it means. */
import * as fc from 'fast-check';

/** What hostile JSON holds where something else was expected; each as text, because some of it cannot be made of values. */
const STRANGE = [
  'null',
  'true',
  '""',
  '[]',
  '{}',
  '0',
  '-1',
  '0.5',
  '1e308',
  '-0',
  '9007199254740993',
  `1${'0'.repeat(400)}`,
  '"\\u0000"',
  '"\\ud800"',
  '"ÅÅ"',
  '"constructor"',
  '"__proto__"',
  '"../../../etc/passwd"',
  '{"__proto__": {"length": 1}}',
  '{"constructor": {"prototype": {}}}',
  '{"toString": 1, "valueOf": 2, "toJSON": 3}',
  '"9999-12-31T23:59:59Z"',
  '"2026-02-31T00:00:00Z"',
  `"${'x'.repeat(5000)}"`,
  `${'['.repeat(3000)}${']'.repeat(3000)}`,
  `${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`,
] as const;

export const mutation = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), bytes: fc.uint8Array({ maxLength: 8 }) }),
  fc.record({ kind: fc.constant('splice' as const), at: fc.nat(), from: fc.nat(), length: fc.nat(64) }),
  fc.record({ kind: fc.constant('replace' as const), at: fc.nat(), value: fc.jsonValue({ maxDepth: 2 }) }),
  fc.record({ kind: fc.constant('strange' as const), at: fc.nat(), which: fc.nat(STRANGE.length - 1) }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat() }),
  fc.record({
    kind: fc.constant('add' as const),
    at: fc.nat(),
    name: fc.string(),
    which: fc.nat(STRANGE.length - 1),
  }),
  fc.record({ kind: fc.constant('twice' as const), at: fc.nat(), which: fc.nat(STRANGE.length - 1) }),
  fc.record({ kind: fc.constant('swap' as const), at: fc.nat(), with: fc.nat() }),
  fc.record({ kind: fc.constant('nudge' as const), at: fc.nat(), by: fc.integer({ min: -3, max: 3 }) }),
);
export type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

/** A mark that no JSON holds, where text is to be put that no value has. */
const HOLE = '\u{10ffff}hole';

/** @returns the bytes changed; of what is no JSON, the bytes as they are. */
export function mutate(bytes: Buffer, change: Mutation): Buffer {
  switch (change.kind) {
    case 'flip': {
      const copy = Buffer.from(bytes);
      copy[change.at % copy.length]! ^= 1 << change.bit;
      return copy;
    }
    case 'cut':
      return bytes.subarray(0, change.at % bytes.length);
    case 'insert': {
      const at = change.at % bytes.length;
      return Buffer.concat([bytes.subarray(0, at), change.bytes, bytes.subarray(at)]);
    }
    case 'splice': {
      const at = change.at % bytes.length;
      const from = change.from % bytes.length;
      const part = bytes.subarray(from, from + change.length);
      return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at + part.length)]);
    }
    default:
      return Buffer.from(unlessTooDeep(bytes.toString(), change));
  }
}

/** What an earlier change nested too deep for this program is left as it is. */
function unlessTooDeep(text: string, change: Structural): string {
  try {
    return restructured(text, change);
  } catch (error) {
    if (error instanceof RangeError) return text;
    throw error;
  }
}

/** The same for a value that is about to be signed. */
export function mutateValue(value: unknown, change: Mutation): unknown {
  const text = mutate(Buffer.from(JSON.stringify(value)), change).toString();
  try {
    const changed = JSON.parse(text) as unknown;
    // It is written once more before it is signed, where less of the stack may be left.
    let deeper = changed;
    for (let level = 0; level < 500; level++) deeper = [deeper];
    JSON.stringify(deeper);
    return changed;
  } catch {
    return value;
  }
}

type Structural = Exclude<Mutation, { kind: 'flip' | 'cut' | 'insert' | 'splice' }>;

function restructured(text: string, change: Structural): string {
  const value: unknown = JSON.parse(text);
  const places = members(value);
  const place = places[change.at % places.length];
  if (place === undefined) return text;
  const [holder, key] = place;
  switch (change.kind) {
    case 'replace':
      holder[key] = change.value;
      break;
    case 'strange':
      holder[key] = HOLE;
      return JSON.stringify(value).replace(`"${HOLE}"`, () => STRANGE[change.which] ?? 'null');
    case 'remove':
      delete holder[key];
      break;
    case 'add': {
      const inside = typeof holder[key] === 'object' && holder[key] !== null ? holder[key] : holder;
      Object.defineProperty(inside, change.name, { value: HOLE, enumerable: true, configurable: true });
      return JSON.stringify(value).replace(`"${HOLE}"`, () => STRANGE[change.which] ?? 'null');
    }
    case 'twice': {
      const name = JSON.stringify(key);
      return text.replace(`${name}:`, () => `${name}:${STRANGE[change.which] ?? 'null'},${name}:`);
    }
    case 'swap': {
      const [other, otherKey] = places[change.with % places.length] ?? place;
      const kept = structuredClone(holder[key]);
      holder[key] = structuredClone(other[otherKey]);
      other[otherKey] = kept;
      break;
    }
    case 'nudge':
      holder[key] = nudged(holder[key], change.by);
      break;
  }
  return JSON.stringify(value);
}

function nudged(value: unknown, by: number): unknown {
  if (typeof value === 'number') return value + by;
  if (typeof value !== 'string') return value;
  const time = Date.parse(value);
  if (/^\d{4}-/.test(value) && !Number.isNaN(time)) {
    return new Date(time + by * 86_400_000).toISOString().replace('.000Z', 'Z');
  }
  return by > 0 ? value + value.slice(0, by) : value.slice(0, value.length + by);
}

function members(value: unknown): [Record<string, unknown>, string][] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [
    [holder, key] as [Record<string, unknown>, string],
    ...members(holder[key]),
  ]);
}
