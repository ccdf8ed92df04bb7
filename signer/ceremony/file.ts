/**
 * A ceremony on its way from signer to signer: one JSON file with the documents before and after. Nothing in it is secret, and nothing in
 * it is believed: who signs recomputes what it changes, and compares where it starts from with their own copy.
 */
import type { Metadata, Root, Targets } from '../repository/index.ts';
import type { TrustState } from './authority.ts';
import { CeremonyError } from './errors.ts';

/** Two product roles of thousands of releases fit. */
export const MAX_CEREMONY_BYTES = 64 * 1024 * 1024;
const MAX_SIGNATURES = 256;

/** The documents that change; what is left out stays. */
export interface NextDocuments {
  root?: Metadata<Root>;
  targets?: Metadata<Targets>;
  policy?: string;
  sigstoreRoot?: string;
  products: Record<string, Metadata<Targets>>;
}

export interface CeremonyFile {
  _type: 'tidegate-ceremony';
  /** What the person who started it says of it. Shown as their words, and signed by nobody. */
  reason: string;
  /** Undefined at the very first ceremony. `products`: those whose signers or role change. */
  before?: TrustState;
  after: NextDocuments;
  /** Hardware of new products, for the desks' spelling check alone. */
  hardware: Record<string, string[]>;
}

export function encodeCeremony(file: CeremonyFile): string {
  return `${JSON.stringify(file, null, 1)}\n`;
}

/**
 * Reads the shape of the file; what the documents say is for `checkCeremony`.
 * @throws CeremonyError `CEREMONY_MALFORMED`.
 */
export function parseCeremony(bytes: Uint8Array, name = 'Ceremony'): CeremonyFile {
  const malformed = (cause?: unknown) => new CeremonyError('CEREMONY_MALFORMED', name, { cause });
  if (bytes.length > MAX_CEREMONY_BYTES) throw malformed();
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw malformed(cause);
  }
  if (!isCeremony(value)) throw malformed();
  return value;
}

type Fields = Record<string, unknown>;

function isCeremony(value: unknown): value is CeremonyFile {
  return (
    isObject(value, ['_type', 'reason', 'after', 'hardware'], ['before']) &&
    value['_type'] === 'tidegate-ceremony' &&
    isText(value['reason'], 1000) &&
    isObject(value['after'], ['products'], ['root', 'targets', 'policy', 'sigstoreRoot']) &&
    isDocuments(value['after']) &&
    isHardware(value['hardware']) &&
    (value['before'] === undefined ||
      (isObject(value['before'], ['root', 'targets', 'policy', 'sigstoreRoot', 'products']) &&
        isDocuments(value['before'])))
  );
}

function isDocuments(value: Fields): boolean {
  return (
    ['root', 'targets'].every((name) => value[name] === undefined || isMetadata(value[name])) &&
    ['policy', 'sigstoreRoot'].every(
      (name) => value[name] === undefined || isText(value[name], 1024 * 1024),
    ) &&
    isRecord(value['products']) &&
    Object.values(value['products']).every(isMetadata)
  );
}

/** Signatures are looked at one by one later, so that a wrong one can be named. */
function isMetadata(value: unknown): boolean {
  return (
    isObject(value, ['signed', 'signatures']) &&
    isRecord(value['signed']) &&
    Array.isArray(value['signatures']) &&
    value['signatures'].length <= MAX_SIGNATURES &&
    value['signatures'].every(
      (signature) =>
        isObject(signature, ['keyid', 'sig']) &&
        /^[0-9a-f]{64}$/.test(String(signature['keyid'])) &&
        /^([0-9a-f]{2}){0,1024}$/.test(String(signature['sig'])),
    )
  );
}

function isHardware(value: unknown): boolean {
  return (
    isRecord(value) &&
    Object.values(value).every((ids) => Array.isArray(ids) && ids.every((id) => isText(id, 64)))
  );
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isObject(value: unknown, needed: string[], optional: string[] = []): value is Fields {
  if (!isRecord(value)) return false;
  const names = Object.keys(value);
  return (
    needed.every((name) => names.includes(name)) &&
    names.every((name) => needed.includes(name) || optional.includes(name))
  );
}

function isText(value: unknown, limit: number): value is string {
  return typeof value === 'string' && value.length <= limit;
}
