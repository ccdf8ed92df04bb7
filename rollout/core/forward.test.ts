/** Forward after a halt: whoever overrules it does so with a second person. Design §4 */
import { expect, test } from 'vitest';
import { decide } from './decide.ts';
import { HOUR, must, running } from './testing.ts';
import type { Rollout } from './types.ts';

const by = (who: string, kind: 'submit' | 'approve' | 'halt' | 'cancel') => ({ kind, by: who, reason: 'x' });

function halted(): Rollout {
  return must(running(), by('bob', 'halt'), HOUR).rollout;
}

function codeOf(rollout: Rollout, who: string): string {
  const decision = decide(rollout, by(who, 'approve'), HOUR);
  return decision.ok ? decision.rollout.status : decision.code;
}

test('who sends it forward does not approve it, and the author still does not either', () => {
  const waiting = must(halted(), by('bob', 'submit'), HOUR).rollout;
  expect(codeOf(waiting, 'bob')).toBe('AUTHOR_CANNOT_APPROVE');
  expect(codeOf(waiting, 'alice')).toBe('AUTHOR_CANNOT_APPROVE');
  expect(codeOf(waiting, 'carol')).toBe('SCHEDULED');
});

test('two people suffice: the author sends it forward, the other approves, also after the other had tried', () => {
  const tried = must(halted(), by('bob', 'submit'), HOUR).rollout;
  const again = must(tried, by('alice', 'cancel'), HOUR).rollout;
  expect(again.status).toBe('HALTED');
  expect(codeOf(must(again, by('alice', 'submit'), HOUR).rollout, 'bob')).toBe('SCHEDULED');
});
