/** Whatever is done to signed bytes, the outcome is a refusal, or an acceptance of what was signed. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DIRECTIVE_PAYLOAD_TYPE, preAuthEncoding, Refusal, type Directive } from '../protocol/index.ts';
import { verifyBundle } from './bundle.ts';
import { verifyDirective } from './directive.ts';
import { parsePolicy } from './policy.ts';
import { testKey } from './testing/keys.ts';
import { keyBundle, policy, release, statement } from './testing/releases.ts';
import { inDays, NOW, PRODUCT, TestRepository } from './testing/repository.ts';
import { TrustedSet } from './trusted-set.ts';

const RUNS = { seed: 20261122, numRuns: 200 };
const repository = new TestRepository().publish();
const builder = testKey('p256');
const director = testKey();
const trusted = policy(builder, director);

/** One change to JSON: a bit, a cut, a member taken away, or a member made strange. */
const mutation = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('replace' as const), at: fc.nat(), value: fc.jsonValue() }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat() }),
);
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutate(bytes: Buffer, change: Mutation): Buffer {
  if (change.kind === 'flip') {
    const copy = Buffer.from(bytes);
    copy[change.at % copy.length]! ^= 1 << change.bit;
    return copy;
  }
  if (change.kind === 'cut') return bytes.subarray(0, change.at % bytes.length);
  const value = JSON.parse(bytes.toString());
  const places = members(value);
  const [holder, key] = places[change.at % places.length]!;
  if (change.kind === 'remove') delete holder[key];
  else holder[key] = change.value;
  return Buffer.from(JSON.stringify(value));
}

function members(value: unknown): [Record<string, unknown>, string][] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [[holder, key], ...members(holder[key])]);
}

/** What was accepted, or undefined after a refusal; anything else that is thrown fails the test. */
function outcome<T>(check: () => T): T | undefined {
  try {
    return check();
  } catch (error) {
    expect(error).toBeInstanceOf(Refusal);
    return undefined;
  }
}

function holds(bytes: Buffer, check: (changed: Buffer) => unknown): void {
  const right = check(bytes);
  expect(right).toBeDefined();
  fc.assert(
    fc.property(mutation, (change) => {
      const accepted = outcome(() => check(mutate(bytes, change)));
      if (accepted !== undefined) expect(accepted).toEqual(right);
    }),
    RUNS,
  );
}

describe('mutated metadata', () => {
  const upTo = (role: 'timestamp' | 'snapshot' | 'targets') => {
    const set = TrustedSet.start(repository.file('metadata/1.root.json'));
    if (role === 'timestamp') return set;
    set.updateTimestamp(repository.file('metadata/timestamp.json'), NOW);
    if (role === 'snapshot') return set;
    set.updateSnapshot(repository.file('metadata/1.snapshot.json'), NOW);
    return set;
  };

  it('root', () => {
    holds(repository.file('metadata/1.root.json'), (bytes) => TrustedSet.start(bytes).root);
  });
  it('timestamp', () => {
    holds(repository.file('metadata/timestamp.json'), (bytes) =>
      upTo('timestamp').updateTimestamp(bytes, NOW),
    );
  });
  it('snapshot', () => {
    holds(repository.file('metadata/1.snapshot.json'), (bytes) =>
      upTo('snapshot').updateSnapshot(bytes, NOW),
    );
  });
  it('targets', () => {
    holds(repository.file('metadata/1.targets.json'), (bytes) => upTo('targets').updateTargets(bytes, NOW));
  });
  it('product role', () => {
    holds(repository.file(`metadata/1.${PRODUCT}.json`), (bytes) => {
      const set = upTo('targets');
      set.updateTargets(repository.file('metadata/1.targets.json'), NOW);
      return set.updateProductRole(PRODUCT, bytes, NOW);
    });
  });
});

it('mutated bundles', () => {
  const sha256 = release().sha256;
  const sigstoreRoot = Buffer.from('{}');
  holds(keyBundle(builder, statement()), (bundle) =>
    verifyBundle({ bundle, sha256, policy: trusted, product: PRODUCT, sigstoreRoot }),
  );
});

it('mutated directives', () => {
  const nonce = 'n0nce-n0nce-n0nce';
  const said: Directive = {
    _type: 'tidegate-directive',
    organisation: 'acme',
    serial: 'SN-0001',
    nonce,
    epoch: 2,
    sequence: 1,
    issuedAt: inDays(0),
    expires: inDays(1),
    action: 'none',
  };
  const payload = Buffer.from(JSON.stringify(said));
  const sig = director.sign(preAuthEncoding(DIRECTIVE_PAYLOAD_TYPE, payload)).toString('base64');
  const envelope = {
    payloadType: DIRECTIVE_PAYLOAD_TYPE,
    payload: payload.toString('base64'),
    signatures: [{ keyid: director.id, sig }],
  };
  const context = {
    policy: trusted,
    organisation: 'acme',
    serial: 'SN-0001',
    nonce,
    now: NOW,
    last: undefined,
  };
  holds(Buffer.from(JSON.stringify(envelope)), (bytes) => {
    let value: unknown = bytes;
    try {
      value = JSON.parse(bytes.toString());
    } catch {
      // Handed on as it is: it is no envelope either.
    }
    return verifyDirective(value, context);
  });
});

it('a mutated policy is refused or still closed, and never anything but a refusal', () => {
  fc.assert(
    fc.property(mutation, (change) => {
      outcome(() => parsePolicy(mutate(Buffer.from(JSON.stringify(trusted)), change)));
    }),
    RUNS,
  );
});
