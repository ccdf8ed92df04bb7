import { describe, expect, it } from 'vitest';
import { DIRECTIVE_PAYLOAD_TYPE, preAuthEncoding, type Directive } from '../protocol/index.ts';
import { directedTarget, directiveTime, verifyDirective } from './directive.ts';
import { testKey, type TestKey } from './testing/keys.ts';
import { expectRefusal } from './testing/refused.ts';
import { policy, release } from './testing/releases.ts';
import { inDays, NOW, PRODUCT } from './testing/repository.ts';
import type { TrustedSet } from './trusted-set.ts';

const director = testKey();
const trusted = policy(testKey(), director);
const nonce = 'n0nce-n0nce-n0nce-n0nc';
const context = {
  policy: trusted,
  organisation: 'acme',
  serial: 'SN-0001',
  nonce,
  now: NOW,
  last: { epoch: 2, sequence: 41 },
};
const { path, sha256, length } = release();

function directive(changes: Partial<Directive> = {}): Directive {
  return {
    _type: 'tidegate-directive',
    organisation: 'acme',
    serial: 'SN-0001',
    nonce,
    epoch: 2,
    sequence: 42,
    issuedAt: inDays(0),
    expires: inDays(0.5),
    action: 'install',
    assignment: 'r-20261122-ab12cd:SN-0001',
    target: { path, sha256, length, version: '1.2.0' },
    ...changes,
  };
}

function envelope(said: unknown, key: TestKey = director, payloadType: string = DIRECTIVE_PAYLOAD_TYPE) {
  const payload = Buffer.from(JSON.stringify(said));
  const sig = key.sign(preAuthEncoding(payloadType, payload)).toString('base64');
  return { payloadType, payload: payload.toString('base64'), signatures: [{ keyid: key.id, sig }] };
}

describe('verifyDirective', () => {
  it('accepts what the director says to this charger now', () => {
    expect(verifyDirective(envelope(directive()), context)).toEqual(directive());
  });

  it('refuses a stranger, a revoked key, and a key of another organisation', () => {
    expectRefusal('DIRECTIVE_UNSIGNED', () => verifyDirective(envelope(directive(), testKey()), context));
    const forged = { ...testKey(), id: director.id };
    expectRefusal('DIRECTIVE_UNSIGNED', () => verifyDirective(envelope(directive(), forged), context));
    for (const state of ['retired', 'compromised'] as const) {
      const keys = [{ keyId: director.id, publicKey: director.pem, state }];
      const revoked = { ...trusted, directors: { acme: { epoch: 2, keys } } };
      expectRefusal('DIRECTIVE_UNSIGNED', () =>
        verifyDirective(envelope(directive()), { ...context, policy: revoked }),
      );
    }
    for (const organisation of ['other', 'constructor']) {
      expectRefusal('DIRECTIVE_UNSIGNED', () =>
        verifyDirective(envelope(directive()), { ...context, organisation }),
      );
    }
  });

  it('refuses what is for another charger or organisation', () => {
    expectRefusal('DIRECTIVE_NOT_MINE', () =>
      verifyDirective(envelope(directive({ serial: 'SN-0002' })), context),
    );
    expectRefusal('DIRECTIVE_NOT_MINE', () =>
      verifyDirective(envelope(directive({ organisation: 'other' })), context),
    );
  });

  it('refuses the answer to another request', () => {
    expectRefusal('DIRECTIVE_NONCE', () =>
      verifyDirective(envelope(directive({ nonce: 'another-nonce-of-16' })), context),
    );
  });

  it.each([
    ['expired', { issuedAt: inDays(-0.5), expires: inDays(0) }],
    ['from the future', { issuedAt: inDays(0.1), expires: inDays(0.2) }],
    ['living above 24 hours', { expires: inDays(1.001) }],
    ['ending before it begins', { issuedAt: inDays(0.002), expires: inDays(0.001) }],
  ])('refuses a directive %s', (_, changes) => {
    expectRefusal('DIRECTIVE_EXPIRED', () => verifyDirective(envelope(directive(changes)), context));
  });

  it.each([
    ['the same sequence', { sequence: 41 }],
    ['an older sequence', { sequence: 1 }],
    ['an older epoch', { epoch: 1, sequence: 100 }],
    ['an epoch that the policy does not name', { epoch: 3 }],
  ])('refuses %s', (_, changes) => {
    expectRefusal('DIRECTIVE_SEQUENCE', () => verifyDirective(envelope(directive(changes)), context));
  });

  it('begins a new epoch at any sequence', () => {
    const last = { epoch: 1, sequence: 1_000_000 };
    expect(verifyDirective(envelope(directive({ sequence: 1 })), { ...context, last }).epoch).toBe(2);
    expect(verifyDirective(envelope(directive({ sequence: 1 })), { ...context, last: undefined }).epoch).toBe(
      2,
    );
  });

  it('refuses an epoch below the last one, were the policy itself to fall back', () => {
    const last = { epoch: 3, sequence: 1 };
    expectRefusal('DIRECTIVE_SEQUENCE', () => verifyDirective(envelope(directive()), { ...context, last }));
  });

  it('is signed by any of the active keys, so that they can be changed', () => {
    const next = testKey();
    const keys = [director, next].map(({ id, pem }) => ({
      keyId: id,
      publicKey: pem,
      state: 'active' as const,
    }));
    const both = { ...context, policy: { ...trusted, directors: { acme: { epoch: 2, keys } } } };
    for (const key of [director, next])
      expect(verifyDirective(envelope(directive(), key), both).epoch).toBe(2);
  });

  it.each([
    ['another type', { _type: 'other' }],
    ['an unknown member', { extra: 1 }],
    ['an install without a target', { target: undefined }],
    ['an install without an assignment', { assignment: undefined }],
    ['nothing, with a target', { action: 'none' }],
    [
      'a target outside a product',
      { target: { path: 'trust/policy.json', sha256, length, version: '1.2.0' } },
    ],
    ['an unknown action', { action: 'format' }],
  ])('refuses %s', (_, changes) => {
    const said = { ...directive(), ...changes };
    expectRefusal('DIRECTIVE_MALFORMED', () => verifyDirective(envelope(said), context));
  });

  it('refuses another payload type and what is no envelope', () => {
    const other = envelope(directive(), director, 'application/vnd.in-toto+json');
    for (const value of [other, null, 'text', [], {}, { ...envelope(directive()), signatures: [] }]) {
      expectRefusal('DIRECTIVE_MALFORMED', () => verifyDirective(value, context));
    }
  });
});

describe('directiveTime', () => {
  it('tells the signed time to a charger that has none, and to no other', () => {
    expect(directiveTime(envelope(directive()), context)).toBe(NOW);
    expectRefusal('DIRECTIVE_NONCE', () =>
      directiveTime(envelope(directive()), { ...context, nonce: 'another-nonce-of-16' }),
    );
  });
});

describe('directedTarget', () => {
  const set = { productTarget: () => release() } as unknown as TrustedSet;
  const wanted = { path, sha256, length, version: '1.2.0' };

  it('is the product role’s own entry', () => {
    expect(directedTarget(wanted, set, PRODUCT)).toEqual(release());
  });

  it.each([{ sha256: '0'.repeat(64) }, { length: 1 }, { version: '1.2.1' }])(
    'refuses a directive that says %o instead',
    (changes) => {
      expectRefusal('TARGET_MISMATCH', () => directedTarget({ ...wanted, ...changes }, set, PRODUCT));
    },
  );
});
