import { canonicalize } from '@tufjs/canonical-json';

/**
 * OLPC canonical JSON, the bytes that TUF signatures and key ids cover. TUF 4.1
 * @throws TypeError on what canonical JSON cannot say, such as a fraction.
 */
export function canonicalBytes(value: unknown): Buffer {
  return Buffer.from(canonicalize(value), 'utf8');
}
