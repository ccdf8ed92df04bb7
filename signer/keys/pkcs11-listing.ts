/** Reads what `pkcs11-tool` lists. */
import { KeyError } from './errors.ts';
import type { Pkcs11Uri } from './pkcs11-uri.ts';

/** `Slot 0 (0x2769): …` */
const SLOT = /^Slot \d+ \((0x[0-9a-f]{1,16})\):/;

/**
 * The one slot whose token the URI names.
 * @param listing what `pkcs11-tool --list-token-slots` writes.
 * @throws KeyError `TOKEN_NOT_FOUND`, `TOKEN_AMBIGUOUS`
 */
export function findSlot(listing: string, wanted: Pkcs11Uri['token']): string {
  const fields = [
    ['token label', wanted.label],
    ['token manufacturer', wanted.manufacturer],
    ['token model', wanted.model],
    ['serial num', wanted.serial],
  ] as const;
  const fitting = blocks(listing, SLOT).flatMap(({ first, says }) => {
    const slot = SLOT.exec(first)?.[1] ?? '';
    const fits =
      says.has('token label') &&
      (wanted.slotId === undefined || Number(slot) === wanted.slotId) &&
      fields.every(([field, value]) => value === undefined || says.get(field) === value);
    return fits ? [slot] : [];
  });
  const [found, ...others] = fitting;
  const name = wanted.label ?? wanted.serial ?? wanted.slotId ?? '(any)';
  if (found === undefined) throw new KeyError('TOKEN_NOT_FOUND', `Token ${name}`);
  if (others.length > 0) throw new KeyError('TOKEN_AMBIGUOUS', `${fitting.length} tokens ${name}`);
  return found;
}

/**
 * The CKA_ID (hex) of the one private key that the URI names. pkcs11-tool 0.23 passes over `--label` when it signs and takes the first key
 * of the token, so a label is looked up here.
 * @param listing what `pkcs11-tool --list-objects --type privkey` writes.
 * @throws KeyError `TOKEN_KEY_MISSING`, `TOKEN_AMBIGUOUS`
 */
export function findKey(listing: string, { object, id }: Pick<Pkcs11Uri, 'object' | 'id'>): string {
  const fitting = blocks(listing, /^Private Key Object;/).filter(
    ({ says }) =>
      (object === undefined || says.get('label') === object) && (id === undefined || says.get('ID') === id),
  );
  const ids = fitting
    .flatMap(({ says }) => says.get('ID') ?? [])
    .filter((each) => /^([0-9a-f]{2})+$/.test(each));
  const [found] = ids;
  if (found === undefined) throw new KeyError('TOKEN_KEY_MISSING', `Key ${object ?? id ?? ''}`);
  if (ids.length > 1) throw new KeyError('TOKEN_AMBIGUOUS', `${ids.length} keys ${object ?? id ?? ''}`);
  return found;
}

interface Block {
  first: string;
  says: Map<string, string>;
}

/** An unindented line, and indented lines `field : value` below it. */
function blocks(listing: string, start: RegExp): Block[] {
  const found: Block[] = [];
  for (const line of listing.split('\n')) {
    if (/^\S/.test(line)) found.push({ first: line, says: new Map() });
    const [, field, value] = /^ {2}([A-Za-z][A-Za-z ]*?) *: *(.*)$/.exec(line) ?? [];
    if (field !== undefined && value !== undefined) found.at(-1)?.says.set(field, value.trim());
  }
  return found.filter(({ first }) => start.test(first));
}
