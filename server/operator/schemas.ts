/** Pieces that the routes' schemas share. Every text is bounded and holds no control characters, which logs and PostgreSQL would choke on. */
import { z } from 'zod';
import {
  HARDWARE,
  ORGANISATION,
  PRODUCT,
  SERIAL,
  SHA256,
  SITE,
  VERSION,
} from '@tidegate/client-sdk/protocol';

export function text(longest: number): z.ZodString {
  return z
    .string()
    .min(1)
    .max(longest)
    .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'No control characters, and no halves of characters.');
}

export const reason = text(500).meta({ description: 'Why; it goes into the audit log.' });
export const organisation = z.string().regex(ORGANISATION);
export const product = z.string().regex(PRODUCT).meta({ example: 'acme.dc150' });
export const version = z.string().regex(VERSION).meta({ example: '1.2.0' });
export const hardware = z.string().regex(HARDWARE).meta({ example: 'dc150-r2' });
export const serial = z.string().regex(SERIAL).meta({ example: 'DC150-0001' });
export const siteId = z.string().regex(SITE).meta({ example: 'berlin-depot' });
export const sha256 = z.string().regex(SHA256);
/** Part of a stratum's name, whose parts are joined by `/`. */
export const slug = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/);
export const operatorName = z.string().regex(/^[a-z][a-z0-9._-]{0,63}$/);
export const rolloutId = z
  .string()
  .regex(/^r-\d{8}-[0-9a-z]{6,16}$/)
  .meta({ example: 'r-20261122-ab12cd' });
export const time = z.iso.datetime().meta({ description: 'RFC 3339, UTC, of the fleet clock.' });

const LONGEST_PAGE = 500;

export const page = z.strictObject({
  after: text(200).optional().meta({ description: '`next` of the page before.' }),
  limit: z.coerce.number().int().min(1).max(LONGEST_PAGE).default(100),
});

export function pageOf<T extends z.ZodType>(
  item: T,
): z.ZodObject<{ items: z.ZodArray<T>; next: z.ZodNullable<z.ZodString> }> {
  return z.object({
    items: z.array(item),
    next: z
      .string()
      .nullable()
      .meta({ description: 'Give it as `after` for the next page; null at the end.' }),
  });
}

/** Cuts a list that was read with one row more than asked for. */
export function toPage<R, T>(
  rows: readonly R[],
  limit: number,
  cursor: (row: R) => string,
  item: (row: R) => T,
): { items: T[]; next: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(item),
    next: rows.length > limit && last !== undefined ? cursor(last) : null,
  };
}
