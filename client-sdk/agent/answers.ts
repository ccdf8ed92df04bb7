/** What an answer of the service must hold, before anything in it is looked at. */
import { Refusal } from '../protocol/index.ts';

/** Field → type, of what an answer must hold. */
export type Shape = Record<string, 'string' | 'number' | 'object'>;
export const CHECK_IN_ANSWER: Shape = {
  directive: 'object',
  timestamp: 'string',
  rootVersion: 'number',
  acknowledged: 'number',
  pollAfter: 'number',
};
export const CONFIRM_ANSWER: Shape = { directive: 'object' };
export const ENROL_ANSWER: Shape = { certificate: 'string', chain: 'string' };

/** @throws Refusal SERVICE_UNREACHABLE */
export function shaped(path: string, bytes: Uint8Array, shape: Shape): unknown {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown> | null;
  } catch (error) {
    throw new Refusal('SERVICE_UNREACHABLE', `${path}: the answer is not JSON`, { cause: error });
  }
  for (const [field, type] of Object.entries(shape)) {
    const held = isObject(value) && Object.hasOwn(value, field) ? value[field] : undefined;
    const right =
      type === 'number' ? Number.isSafeInteger(held) && (held as number) >= 0 : typeof held === type;
    if (!right || held === null) {
      throw new Refusal('SERVICE_UNREACHABLE', `${path}: the answer's ${field} is not of the right shape`);
    }
  }
  return value;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
