import { expect } from 'vitest';
import { Refusal, type RefusalCode } from '../../protocol/index.ts';

/** Runs `check` and expects it to refuse with exactly this code. */
export function expectRefusal(code: RefusalCode, check: () => unknown): void {
  expect(codeOf(check)).toBe(code);
}

export async function expectRejection(code: RefusalCode, check: Promise<unknown>): Promise<void> {
  const outcome = await check.then(
    () => 'accepted',
    (error: unknown) => (error instanceof Refusal ? error.code : error),
  );
  expect(outcome).toBe(code);
}

/** `accepted`, or the code of the refusal; anything else that is thrown goes on. */
export function codeOf(check: () => unknown): RefusalCode | 'accepted' {
  try {
    check();
    return 'accepted';
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}
