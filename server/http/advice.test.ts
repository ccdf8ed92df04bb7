/** Every code of the service says what to do: a sentence that begins with an order, after or instead of what happened. */
import { expect, test } from 'vitest';
import { REFUSALS } from '@tidegate/client-sdk/protocol';
import { DATABASE_ERRORS } from '../db/errors.ts';
import { AUTHORITY_ERRORS } from '../identity/index.ts';
import { START_ERRORS } from '../start/errors.ts';
import { API_ERRORS, ApiError, problemOf } from './index.ts';

const ORDERS =
  /(?:^|[.:;,] (?:then |or |and )?)(Add|Adopt|Ask|Check|Choose|Correct|Create|Enrol|Give|Install|Keep|Let|List|Look|Present|Propose|Publish|Read|Remove|Restore|Run|Save|Say|Send|Sign|Start|Stop|Try|Upgrade|Upload|Use|Wait)\b/i;

const advices: [string, string][] = [
  ...Object.entries(API_ERRORS).map(([code, { advice }]): [string, string] => [code, advice]),
  ...Object.entries({ ...START_ERRORS, ...DATABASE_ERRORS, ...AUTHORITY_ERRORS }),
];

test.each(advices)('%s: %s', (_code, advice) => {
  expect(advice).toMatch(ORDERS);
  expect(advice).toMatch(/[.>")]$/);
});

test('an answer and a log line carry it', () => {
  for (const code of Object.keys(API_ERRORS) as (keyof typeof API_ERRORS)[]) {
    const error = new ApiError(code, 'what was seen');
    const { advice, status } = API_ERRORS[code];
    expect(problemOf(error)).toMatchObject({ code, status, title: advice, detail: 'what was seen' });
    expect(error.message).toContain(advice);
  }
});

test("the charger's refusals have a sentence each", () => {
  for (const sentence of Object.values(REFUSALS)) expect(sentence.length).toBeGreaterThan(10);
});
