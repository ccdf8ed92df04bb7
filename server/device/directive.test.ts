import { expect, test } from 'vitest';
import { DIRECTIVE_MAX_SECONDS } from '@tidegate/client-sdk/protocol';
import { generateKey } from '@tidegate/signer/keys';
import { nextSequence, signDirective } from './directive.ts';
import { directiveOf } from './testing/fleet.ts';

const NOW = Date.parse('2026-11-22T12:00:00Z');

test('a sequence is above the last one, and above what a service restored from an older backup would give', () => {
  expect(nextSequence(7, NOW)).toBe(NOW / 1000);
  expect(nextSequence(NOW / 1000 + 5, NOW)).toBe(NOW / 1000 + 6);
});

test('no directive lives longer than the protocol allows, whatever is configured', async () => {
  const to = { organisation: 'acme', serial: 'SN-1', nonce: 'n', epoch: 1, sequence: 1 };
  const directive = await signDirective(
    generateKey(),
    to,
    { action: 'none' },
    NOW,
    10 * DIRECTIVE_MAX_SECONDS,
  );
  const { issuedAt, expires } = directiveOf({ directive });
  expect(Date.parse(expires) - Date.parse(issuedAt)).toBe(DIRECTIVE_MAX_SECONDS * 1000);
});
