/** `pkcs11:` URIs that name a key in a token. RFC 7512 */
import { isAbsolute } from 'node:path';
import { KeyError } from './errors.ts';

export interface Pkcs11Uri {
  /** What the token says of itself; each that is given must match. */
  token: { label?: string; manufacturer?: string; model?: string; serial?: string; slotId?: number };
  /** CKA_LABEL of the key. */
  object?: string;
  /** CKA_ID of the key, hex. */
  id?: string;
  /** The token's library, an absolute path. */
  module?: string;
  /** A file that holds the PIN. */
  pinFile?: string;
}

type Attributes = Map<string, string>;

const PATH_ATTRIBUTES = new Set([
  'token',
  'manufacturer',
  'model',
  'serial',
  'slot-id',
  'object',
  'id',
  'type',
]);
const QUERY_ATTRIBUTES = new Set(['module-path', 'pin-source']);
const MAX_LENGTH = 2048;

/**
 * Closed: an attribute that is not known here might have told two keys apart.
 * @throws KeyError `KEY_REFERENCE`
 */
export function parsePkcs11Uri(text: string): Pkcs11Uri {
  if (!text.startsWith('pkcs11:') || text.length > MAX_LENGTH) refuse('not a pkcs11: URI');
  const [path = '', query = '', ...more] = text.slice('pkcs11:'.length).split('?');
  if (more.length > 0) refuse('two `?`');
  const paths = attributes(path, ';', PATH_ATTRIBUTES);
  const queries = attributes(query, '&', QUERY_ATTRIBUTES);
  const type = paths.get('type');
  if (type !== undefined && type !== 'private') refuse(`type=${type}; only a private key signs`);
  const uri: Pkcs11Uri = {
    token: tokenOf(paths),
    ...optional('object', paths.get('object')),
    ...optional('id', hexOf(paths.get('id'))),
    ...optional('module', absolute('module-path', queries.get('module-path'))),
    ...optional('pinFile', absolute('pin-source', queries.get('pin-source')?.replace(/^file:(\/\/)?/, ''))),
  };
  if (uri.object === undefined && uri.id === undefined) refuse('neither `object` nor `id`');
  return uri;
}

function attributes(text: string, separator: string, known: ReadonlySet<string>): Attributes {
  const found: Attributes = new Map();
  for (const part of text.split(separator)) {
    if (part === '') continue;
    const at = part.indexOf('=');
    const name = part.slice(0, Math.max(at, 0));
    // RFC 7512 has it, but a command line is no place for a secret: every user of the machine can read it.
    if (name === 'pin-value') refuse('a PIN in the URI, where everybody can read it');
    if (!known.has(name)) refuse(`unknown attribute \`${name}\``);
    if (found.has(name)) refuse(`\`${name}\` twice`);
    found.set(name, part.slice(at + 1));
  }
  return new Map([...found].map(([name, value]) => [name, name === 'id' ? value : decoded(name, value)]));
}

function decoded(name: string, value: string): string {
  let text = '';
  try {
    text = decodeURIComponent(value);
  } catch {
    refuse(`\`${name}\` is not percent-encoded UTF-8`);
  }
  if (text === '' || /\p{Cc}/u.test(text)) refuse(`\`${name}\` is empty or holds control characters`);
  return text;
}

function tokenOf(paths: Attributes): Pkcs11Uri['token'] {
  const slot = paths.get('slot-id');
  if (slot !== undefined && !/^\d{1,10}$/.test(slot)) refuse('`slot-id` is a decimal number');
  return {
    ...optional('label', paths.get('token')),
    ...optional('manufacturer', paths.get('manufacturer')),
    ...optional('model', paths.get('model')),
    ...optional('serial', paths.get('serial')),
    ...optional('slotId', slot === undefined ? undefined : Number(slot)),
  };
}

/** CKA_ID is bytes, not text: `%01%ab` and plain characters alike. RFC 7512 2.3 */
function hexOf(id: string | undefined): string | undefined {
  if (id === undefined) return undefined;
  if (!/^(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9._~-])+$/.test(id)) refuse('`id` is not percent-encoded');
  return id
    .replaceAll(/%(..)|(.)/g, (_, hex: string | undefined, character: string | undefined) =>
      hex === undefined ? Buffer.from(character ?? '').toString('hex') : hex,
    )
    .toLowerCase();
}

function absolute(name: string, path: string | undefined): string | undefined {
  if (path !== undefined && !isAbsolute(path)) refuse(`\`${name}\` is not the absolute path of a file`);
  return path;
}

function optional<K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [name]: value } as Record<K, V>);
}

function refuse(why: string): never {
  throw new KeyError('KEY_REFERENCE', why);
}
