/**
 * What is put on a charger with its image and never delivered over the network: who it is, whom it trusts, where its state lives.
 * Lost state starts from here again. Design §3, "State".
 */
import { resolve } from 'node:path';
import { HARDWARE, ORGANISATION, PRODUCT, Refusal, SERIAL, SHA256, VERSION } from '../protocol/index.ts';
import type { RunningImage } from '../protocol/index.ts';

export interface Provisioning {
  organisation: string;
  product: string;
  hardware: string;
  serial: string;
  /** Origin of the service, e.g. `https://tidegate.example:8443`. */
  service: string;
  /** PEM file of the CA that the service's certificate chains to; no other CA counts. */
  serviceCa: string;
  /** Asked for images before the service is, in this order: a CDN, a cache at the depot. See `imageMirror` */
  mirrors: string[];
  /** The TUF root that the charger was built with. */
  root: string;
  /** Folder of the charger's state; mode 700. */
  state: string;
  /** Lowest security version that this charger ever boots. */
  securityFloor: number;
  /** RFC 3339: when the image was built; no time before it is believed. */
  buildTime: string;
  /** The image that the charger left the factory with. */
  factory: RunningImage;
  /** Seconds that a trial boot has to prove itself healthy. */
  healthDeadline: number;
  /** Seconds that one health bin covers at least. */
  healthBin: number;
  installer: InstallerConfig;
  /** Commands that speak for the charger's own software; needed by `run` only. */
  host?: HostCommands;
}

export type InstallerConfig =
  /** `simulateBoot`: the agent's reboot plays the boot loader, for a try-out without a real one. */
  | { kind: 'slot-files'; folder: string; simulateBoot: boolean }
  | { kind: 'rauc'; busAddress: string | undefined; intake: string };

/** Each an argument list, run without a shell. Exit code 0 says yes, 1 says no. */
export interface HostCommands {
  charging: string[];
  healthy: string[];
  /** Not needed with `simulateBoot`. */
  reboot?: string[];
  /** Prints `{"exposure": {…}, "events": […]}`; gets the span as two RFC 3339 arguments. Without it, hours alone are counted. */
  collect?: string[];
}

export const PROVISIONING_DEFAULTS = { healthDeadline: 600, healthBin: 3600 } as const;

/**
 * @param base folder that relative paths in `value` are relative to
 * @throws Refusal `NOT_PROVISIONED`, naming the field
 */
export function parseProvisioning(value: unknown, base: string): Provisioning {
  const top = new Fields(value, '');
  const path = (text: string): string => resolve(base, text);
  const service = top.text('service');
  if (!URL.canParse(service) || new URL(service).protocol !== 'https:') top.fail('service', 'an https URL');
  const buildTime = top.text('buildTime');
  if (Number.isNaN(Date.parse(buildTime))) top.fail('buildTime', 'an RFC 3339 time');
  const host = top.optional('host');
  return {
    organisation: top.matching('organisation', ORGANISATION),
    product: top.matching('product', PRODUCT),
    hardware: top.matching('hardware', HARDWARE),
    serial: top.matching('serial', SERIAL),
    service: new URL(service).origin,
    serviceCa: path(top.text('serviceCa')),
    mirrors: top.urls('mirrors'),
    root: path(top.text('root')),
    state: path(top.text('state')),
    securityFloor: top.whole('securityFloor', 0),
    buildTime,
    factory: parseFactory(top.nested('factory')),
    healthDeadline: top.whole('healthDeadline', PROVISIONING_DEFAULTS.healthDeadline),
    healthBin: top.whole('healthBin', PROVISIONING_DEFAULTS.healthBin),
    installer: parseInstaller(top.nested('installer'), path),
    ...(host ? { host: parseHost(host) } : {}),
  };
}

function parseFactory(fields: Fields): RunningImage {
  return {
    sha256: fields.has('sha256') ? fields.matching('sha256', SHA256) : null,
    version: fields.matching('version', VERSION),
    securityVersion: fields.whole('securityVersion', 0),
  };
}

function parseInstaller(fields: Fields, path: (text: string) => string): InstallerConfig {
  const kind = fields.text('kind');
  if (kind === 'slot-files') {
    return { kind, folder: path(fields.text('folder')), simulateBoot: fields.flag('simulateBoot') };
  }
  if (kind === 'rauc') {
    const busAddress = fields.has('busAddress') ? fields.text('busAddress') : undefined;
    return { kind, busAddress, intake: path(fields.text('intake')) };
  }
  return fields.fail('kind', '`slot-files` or `rauc`');
}

function parseHost(fields: Fields): HostCommands {
  return {
    charging: fields.command('charging'),
    healthy: fields.command('healthy'),
    ...(fields.has('reboot') ? { reboot: fields.command('reboot') } : {}),
    ...(fields.has('collect') ? { collect: fields.command('collect') } : {}),
  };
}

/** Reads one object field by field, and names the field that is wrong. */
class Fields {
  readonly #values: Record<string, unknown>;
  readonly #pointer: string;

  constructor(value: unknown, pointer: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new Refusal('NOT_PROVISIONED', `${pointer || 'the file'} must be an object`);
    }
    this.#values = value as Record<string, unknown>;
    this.#pointer = pointer;
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined && this.#values[name] !== null;
  }
  text(name: string): string {
    const value = this.#values[name];
    return typeof value === 'string' && value !== '' ? value : this.fail(name, 'a text');
  }
  matching(name: string, pattern: RegExp): string {
    const value = this.text(name);
    return pattern.test(value) ? value : this.fail(name, String(pattern));
  }
  whole(name: string, otherwise: number): number {
    const value = this.#values[name] ?? otherwise;
    return Number.isSafeInteger(value) && (value as number) >= 0
      ? (value as number)
      : this.fail(name, 'a whole number ≥ 0');
  }
  flag(name: string): boolean {
    const value = this.#values[name] ?? false;
    return typeof value === 'boolean' ? value : this.fail(name, 'true or false');
  }
  command(name: string): string[] {
    const value = this.#values[name];
    const sound = Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === 'string');
    return sound ? value : this.fail(name, 'a list of arguments');
  }
  urls(name: string): string[] {
    const value = this.#values[name] ?? [];
    const isUrl = (each: unknown): boolean =>
      typeof each === 'string' && /^https?:\/\/[^\s?#]+$/.test(each) && URL.canParse(each);
    return Array.isArray(value) && value.length <= 8 && value.every(isUrl)
      ? (value as string[])
      : this.fail(name, 'a list of at most 8 http or https URLs');
  }
  nested(name: string): Fields {
    return new Fields(this.#values[name], `${this.#pointer}/${name}`);
  }
  optional(name: string): Fields | undefined {
    return this.has(name) ? this.nested(name) : undefined;
  }
  fail(name: string, wanted: string): never {
    throw new Refusal('NOT_PROVISIONED', `${this.#pointer}/${name} must be ${wanted}`);
  }
}
