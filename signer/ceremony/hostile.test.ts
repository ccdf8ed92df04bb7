/** A file that somebody has changed on its way: refused with a code, or what it does is what it says. */
import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { Refusal } from '@tidegate/client-sdk/protocol';
import { canonicalBytes, keyIdOf, tufKeyOf, type TufKey } from '@tidegate/client-sdk/trust';
import { generateKey } from '../keys/index.ts';
import type { Root, Targets } from '../repository/index.ts';
import { afterState } from './check.ts';
import {
  CeremonyError,
  type CeremonyFile,
  checkCeremony,
  describeCeremony,
  encodeCeremony,
  fingerprint,
  parseCeremony,
} from './index.ts';
import { NOW, PRODUCT, World } from './world.fixture.ts';

let world: World;
let honest: CeremonyFile;
beforeAll(async () => {
  world = await World.open();
  honest = await world.sign(
    world.start(
      [
        { kind: 'replace-key', holder: world.holder('ben') },
        { kind: 'set', product: PRODUCT, field: 'emergency-floor', value: 1 },
      ],
      'all',
    ),
    world.keyOf('ann'),
  );
});

const DAY_MS = 24 * 60 * 60 * 1000;
const look = (file: CeremonyFile) =>
  checkCeremony(parseCeremony(Buffer.from(encodeCeremony(file))), world.state, NOW);
const codeOf = (file: CeremonyFile): string => {
  try {
    look(file);
  } catch (error) {
    if (error instanceof CeremonyError || error instanceof Refusal) return error.code;
    throw error;
  }
  return 'none';
};
const changed = (edit: (file: Editable) => void): CeremonyFile => {
  const file = structuredClone(honest) as Editable;
  edit(file);
  return file;
};
interface Editable extends CeremonyFile {
  before: NonNullable<CeremonyFile['before']>;
  after: Required<CeremonyFile['after']>;
}
const root = (edit: (signed: Root) => void) => changed(({ after }) => edit(after.root.signed));
const targets = (edit: (signed: Targets) => void) => changed(({ after }) => edit(after.targets.signed));

describe('a change that is not shown', () => {
  it.each<[string, () => CeremonyFile, string]>([
    ['none', () => honest, 'none'],
    [
      'a further file beside the policy',
      () =>
        targets(
          (signed) => (signed.targets['trust/more.json'] = { length: 1, hashes: { sha256: '1'.repeat(64) } }),
        ),
      'CEREMONY_TAMPERED',
    ],
    [
      'wider paths for a product',
      () => targets((signed) => signed.delegations!.roles[0]!.paths.push('acme.ac22/*')),
      'CEREMONY_TAMPERED',
    ],
    [
      'a delegation that does not end',
      () => targets((signed) => (signed.delegations!.roles[0]!.terminating = false)),
      'CEREMONY_TAMPERED',
    ],
    [
      'a member of the root',
      () => root((signed) => Object.assign(signed, { more: true })),
      'CEREMONY_TAMPERED',
    ],
    ['a key that no role names', () => root((signed) => addKey(signed)), 'CEREMONY_TAMPERED'],
    [
      'another version of the specification',
      () => root((signed) => (signed.spec_version = '1.0.0')),
      'CEREMONY_TAMPERED',
    ],
    [
      'unversioned files',
      () => root((signed) => Object.assign(signed, { consistent_snapshot: false })),
      'CEREMONY_MALFORMED',
    ],
    [
      'a release slipped into a role',
      () =>
        changed(
          ({ after }) =>
            (after.products[PRODUCT]!.signed.targets = {
              [`${PRODUCT}/x`]: { length: 1, hashes: { sha256: '1'.repeat(64) } },
            }),
        ),
      'CEREMONY_TAMPERED',
    ],
    [
      'a role of another product',
      () => changed(({ after }) => (after.products['acme.ac22'] = after.products[PRODUCT]!)),
      'CEREMONY_TAMPERED',
    ],
    [
      'a policy beside the listed one',
      () =>
        changed(
          ({ after }) => (after.policy = after.policy.replace('"emergencyFloor": 1', '"emergencyFloor": 0')),
        ),
      'CEREMONY_TAMPERED',
    ],
    [
      'a policy without targets',
      () => changed(({ after }) => Reflect.deleteProperty(after, 'targets')),
      'CEREMONY_TAMPERED',
    ],
    ['a version that is skipped', () => root((signed) => (signed.version = 3)), 'CEREMONY_VERSION'],
    ['a version that stays', () => targets((signed) => (signed.version = 1)), 'CEREMONY_VERSION'],
    [
      'a life without end',
      () => root((signed) => (signed.expires = '2099-01-01T00:00:00Z')),
      'CEREMONY_LIFETIME',
    ],
    [
      'a life that is over',
      () => targets((signed) => (signed.expires = '2026-11-22T11:59:59Z')),
      'CEREMONY_LIFETIME',
    ],
    [
      'a threshold that nobody can meet',
      () => root((signed) => (signed.roles.root.threshold = 4)),
      'THRESHOLD_UNREACHABLE',
    ],
    [
      'two timestamps',
      () => root((signed) => (signed.roles.timestamp.threshold = 2)),
      'THRESHOLD_UNREACHABLE',
    ],
    ['one key in a second spelling', () => root(respell), 'KEY_TWICE'],
    ["ben's key as ann's", () => root((signed) => rename(signed, 'ben', 'ann')), 'KEY_TWICE'],
    [
      'a name that moves the cursor',
      () =>
        changed(({ after }) =>
          [after.root.signed, after.targets.signed].forEach((signed) =>
            rename(signed, 'ben', 'ben\u001b[2J'),
          ),
        ),
      'CEREMONY_TAMPERED',
    ],
    ['a member of the file', () => Object.assign(structuredClone(honest), { more: 1 }), 'CEREMONY_MALFORMED'],
    ['documents of nobody', () => changed(({ before }) => (before.root.signatures = [])), 'CEREMONY_FOREIGN'],
    [
      'other rules before',
      () => changed(({ before }) => (before.policy = honest.after.policy!)),
      'CEREMONY_FOREIGN',
    ],
    [
      'no documents to begin with',
      () => changed((file) => Reflect.deleteProperty(file, 'before')),
      'CEREMONY_MALFORMED',
    ],
  ])('%s', (_, file, code) => {
    expect(codeOf(file())).toBe(code);
  });

  it('a policy that says a thing twice is refused, whichever its reader takes', () => {
    const twice = honest.after.policy!.replace('"denied": {', '"version": 2,\n  "denied": {');
    expect(codeOf(listing(twice))).toBe('CEREMONY_TAMPERED');
  });

  it('a policy whose version jumps', () => {
    const jumped = honest.after.policy!.replace('"version": 2', '"version": 9');
    expect(codeOf(listing(jumped))).toBe('CEREMONY_VERSION');
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['no object', '[]'],
    ['no UTF-8', Buffer.from([0xff, 0xfe])],
    ['another file', '{"_type":"tidegate-proposal"}'],
  ])('%s', (_, bytes) => {
    expect(() => parseCeremony(Buffer.from(bytes))).toThrow(CeremonyError);
  });
});

it('a product is not left to people who have not signed its role', () => {
  const holders = ['ann', 'ben'].map((name) => world.holder(name));
  const file = world.start(
    holders.map((holder) => ({ kind: 'replace-key', holder, roles: [PRODUCT] })),
  ) as Editable;
  expect(codeOf(file)).toBe('none');
  const without = { ...file, after: { ...file.after, products: {} } };
  expect(codeOf(without)).toBe('CEREMONY_TAMPERED');
  expect(codeOf({ ...without, before: { ...file.before, products: {} } })).toBe('CEREMONY_TAMPERED');
});

describe('a file that begins elsewhere', () => {
  it('is foreign where there are documents, and has another fingerprint where there are none', async () => {
    const other = await World.open();
    const file = other.start([{ kind: 'threshold', role: 'root', threshold: 1 }]);
    expect(codeOf(file)).toBe('CEREMONY_FOREIGN');
    const checked = checkCeremony(file, undefined, NOW);
    const words = describeCeremony(checked, NOW).join('\n');
    expect(words).toContain(fingerprint(other.state.root));
    expect(words).not.toContain(fingerprint(world.state.root));
  });

  it('is foreign where it founds an organisation beside the one that is here', async () => {
    const other = await World.open();
    const { before: _, ...founding } = { ...honest, after: other.state };
    expect(codeOf(founding)).toBe('CEREMONY_FOREIGN');
  });

  it('is stale where something newer is here, and ahead where something is missing', async () => {
    const moved = await World.open();
    const early = moved.start([{ kind: 'threshold', role: 'root', threshold: 3 }]);
    const before = moved.state;
    await moved.finish(
      await moved.signAll(moved.start([{ kind: 'threshold', role: PRODUCT, threshold: 1 }])),
    );
    expect(() => checkCeremony(early, moved.state, NOW)).toThrow(
      expect.objectContaining({ code: 'CEREMONY_STALE' }) as Error,
    );
    const late = moved.start([{ kind: 'threshold', role: PRODUCT, threshold: 2 }]);
    expect(() => checkCeremony(late, before, NOW)).toThrow(
      expect.objectContaining({ code: 'CEREMONY_AHEAD' }) as Error,
    );
  });

  it('lets a clock be a day ahead, and no more', () => {
    expect(() => checkCeremony(honest, world.state, NOW - DAY_MS)).not.toThrow();
    expect(() => checkCeremony(honest, world.state, NOW - DAY_MS - 1000)).toThrow(
      expect.objectContaining({ code: 'CEREMONY_LIFETIME' }) as Error,
    );
  });
});

it('whatever is changed in the file is refused with a code, or shows', () => {
  const words = describeCeremony(look(honest), NOW);
  const places = placesIn(honest);
  let accepted = 0;
  fc.assert(
    fc.property(fc.constantFrom(...places), mutation, (path, mutate) => {
      const file = structuredClone(honest);
      if (!mutateAt(file, path, mutate)) return;
      const code = codeOf(file);
      if (code !== 'none') {
        expect(code).toMatch(/^[A-Z_]+$/);
        return;
      }
      accepted++;
      const checked = look(file);
      // Signatures, the reason and the hardware decide nothing.
      if (meaningOf(file).equals(meaningOf(honest))) return;
      expect(describeCeremony(checked, NOW)).not.toEqual(words);
    }),
    { seed: 20261122, numRuns: 3000 },
  );
  // Signatures that are no good and the reason are among them, else nothing was tried.
  expect(accepted).toBeGreaterThan(10);
});

/** What would be signed, without the order of lists that mean sets. */
function meaningOf(file: CeremonyFile): Buffer {
  const { root, targets, policy, sigstoreRoot, products } = afterState(file);
  const sorted = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map((item) => sorted(item)).sort((a, b) => Buffer.compare(canonicalBytes(a), canonicalBytes(b)))
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(Object.entries(value).map(([name, member]) => [name, sorted(member)]))
        : value;
  const roles = Object.entries(products).map(([name, role]) => [name, role.signed]);
  return canonicalBytes(sorted([root.signed, targets.signed, JSON.parse(policy), sigstoreRoot, roles]));
}

const mutation = fc.oneof(
  fc.constant((): unknown => undefined),
  fc
    .constantFrom<unknown>(null, 0, 1, 2, 4, -1, 1e300, '', 'x', [], {}, true, false, '__proto__')
    .map((value) => () => value),
  fc.string({ maxLength: 8 }).map((text) => (old: unknown) => (typeof old === 'string' ? old + text : text)),
  fc.constant((old: unknown) =>
    typeof old === 'number' ? old + 1 : typeof old === 'string' ? flip(old) : old,
  ),
  fc.constant((old: unknown) => (Array.isArray(old) ? [...(old as unknown[]), ...(old as unknown[])] : old)),
  fc.constant((old: unknown) => (Array.isArray(old) ? old.slice(1) : old)),
  fc.constant((old: unknown) => (Array.isArray(old) ? old.toReversed() : old)),
  fc.constant((old: unknown) =>
    typeof old === 'object' && old !== null && !Array.isArray(old) ? { ...old, more: 1 } : old,
  ),
);

function flip(text: string): string {
  const middle = Math.floor(text.length / 2);
  return text.slice(0, middle) + (text[middle] === '0' ? '1' : '0') + text.slice(middle + 1);
}

function placesIn(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const children = Object.entries(value).flatMap(([name, member]) => placesIn(member, [...path, name]));
  return path.length === 0 ? children : [path, ...children];
}

function mutateAt(file: object, path: (string | number)[], mutate: (old: unknown) => unknown): boolean {
  let parent = file as Record<string | number, unknown>;
  for (const step of path.slice(0, -1)) parent = parent[step] as Record<string | number, unknown>;
  const last = path.at(-1) ?? '';
  const old = parent[last];
  const now = mutate(old);
  if (now === old) return false;
  if (now === undefined) Reflect.deleteProperty(parent, last);
  else parent[last] = now;
  return true;
}

function listing(policy: string): CeremonyFile {
  return changed(({ after }) => {
    after.policy = policy;
    const length = Buffer.byteLength(policy);
    const sha256 = createHash('sha256').update(policy).digest('hex');
    after.targets.signed.targets['trust/policy.json'] = { length, hashes: { sha256 } };
  });
}

function addKey(signed: Root): void {
  const key = tufKeyOf(generateKey().publicKey);
  signed.keys[keyIdOf(key)] = key;
}

/** The same P-256 key with its PEM broken into other lines has another id. */
function respell(signed: Root): void {
  const { publicKey } = generateKey('ecdsa-sha2-nistp256');
  const key = (pem: string): TufKey => ({ ...tufKeyOf(publicKey), keyval: { public: pem } });
  for (const spelt of [key(publicKey), key(publicKey.replace('\n', '\n\n'))]) {
    signed.keys[keyIdOf(spelt)] = spelt;
    signed.roles.root.keyids.push(keyIdOf(spelt));
  }
}

function rename(signed: Root | Targets, from: string, to: string): void {
  const people = signed['x-tidegate-people'] ?? {};
  for (const [keyId, name] of Object.entries(people)) if (name === from) people[keyId] = to;
}
