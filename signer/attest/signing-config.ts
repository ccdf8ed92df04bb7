/**
 * Which services sign and witness: Sigstore's SigningConfig, version 0.2.
 * https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
 */
import { jsonOf, list, member, optionalMember, text } from './answers.ts';
import { AttestError } from './errors.ts';

const MEDIA_TYPE = 'application/vnd.dev.sigstore.signingconfig.v0.2+json';
/** Longest config that is read, in bytes. */
export const MAX_SIGNING_CONFIG_BYTES = 64 * 1024;
const MAX_SERVICES = 64;

export interface Service {
  url: string;
  /** Major version of its API. */
  version: number;
  /** Milliseconds since the epoch. */
  start: number;
  end: number;
  operator: string;
}

/** How many of the services to ask. */
export type Selector = { kind: 'ALL' | 'ANY' } | { kind: 'EXACT'; count: number };

export interface SigningConfig {
  authorities: Service[];
  logs: Service[];
  logSelector: Selector;
  timestampAuthorities: Service[];
  timestampSelector: Selector;
}

/** @throws AttestError `SIGNING_CONFIG` */
export function parseSigningConfig(bytes: Uint8Array): SigningConfig {
  try {
    if (bytes.length > MAX_SIGNING_CONFIG_BYTES) throw new TypeError('too long');
    const config = jsonOf(bytes);
    const mediaType = text(member(config, 'mediaType'));
    if (mediaType !== MEDIA_TYPE) throw new TypeError(mediaType);
    return {
      authorities: services(optionalMember(config, 'caUrls')),
      logs: services(optionalMember(config, 'rekorTlogUrls')),
      logSelector: selector(optionalMember(config, 'rekorTlogConfig')),
      timestampAuthorities: services(optionalMember(config, 'tsaUrls')),
      timestampSelector: selector(optionalMember(config, 'tsaConfig')),
    };
  } catch (cause) {
    throw new AttestError('SIGNING_CONFIG', (cause as Error).message.slice(0, 200), { cause });
  }
}

/**
 * The services to ask at a time: of the highest version that is known here, the newest of each operator. Two of one operator vouch no more
 * than one.
 * @throws AttestError `SERVICE_NONE`
 */
export function selectServices(
  what: string,
  all: readonly Service[],
  versions: readonly number[],
  wanted: Selector,
  now: number,
): Service[] {
  const valid = all.filter(
    ({ version, start, end }) => versions.includes(version) && start <= now && now <= end,
  );
  const highest = Math.max(...valid.map(({ version }) => version));
  const newest = valid
    .filter(({ version }) => version === highest)
    .sort((one, other) => other.start - one.start);
  const chosen = newest.filter(
    ({ operator }, i) => newest.findIndex((service) => service.operator === operator) === i,
  );
  const needed = wanted.kind === 'EXACT' ? wanted.count : 1;
  if (chosen.length < needed) throw new AttestError('SERVICE_NONE', `${what}: ${chosen.length} of ${needed}`);
  return wanted.kind === 'ALL' ? chosen : chosen.slice(0, needed);
}

function services(value: unknown): Service[] {
  return list(value ?? [], MAX_SERVICES).map((service) => {
    const validFor = optionalMember(service, 'validFor') ?? {};
    return {
      url: text(member(service, 'url')).replace(/\/+$/, ''),
      version: version(member(service, 'majorApiVersion')),
      start: time(optionalMember(validFor, 'start'), -Infinity),
      end: time(optionalMember(validFor, 'end'), Infinity),
      operator: text(optionalMember(service, 'operator') ?? ''),
    };
  });
}

function selector(value: unknown): Selector {
  const kind = text(optionalMember(value ?? {}, 'selector') ?? 'ANY');
  if (kind === 'ALL' || kind === 'ANY') return { kind };
  const count = optionalMember(value, 'count');
  if (kind !== 'EXACT' || !isCount(count)) throw new TypeError(`selector ${kind}`);
  return { kind, count };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_SERVICES;
}

function version(value: unknown): number {
  if (!isCount(value)) throw new TypeError('majorApiVersion');
  return value;
}

function time(value: unknown, absent: number): number {
  if (value === undefined) return absent;
  const ms = Date.parse(text(value));
  if (Number.isNaN(ms)) throw new TypeError('validFor');
  return ms;
}
