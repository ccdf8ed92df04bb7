import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { ORGANISATION } from '@tidegate/client-sdk/protocol';
import { parseLocation, type StoreLocation } from '../blobs/index.ts';
import { StartError } from './errors.ts';

/** Everything the service can be told. No other part of it reads the environment. */
export interface ServiceConfig {
  /** The state directory. */
  home: string;
  /** Below it, what the service needs. */
  folder: string;
  organisation: string;
  /** 0 takes a free one. */
  port: number;
  /** A PostgreSQL ≥ 15; undefined starts the embedded one. */
  databaseUrl: string | undefined;
  /** Redis or Valkey for the queue; undefined puts it on PostgreSQL. */
  redisUrl: string | undefined;
  /** An S3-compatible store for images and TUF files; undefined keeps them as files below `folder`. */
  store: StoreLocation | undefined;
  /** File of the fleet's clock; undefined is the system's clock. Development and drills only. */
  fleetClock: string | undefined;
  /** File for the log; undefined is standard error. */
  logFile: string | undefined;
}

/** An empty variable is an unset one. */
const setting = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === '' ? undefined : value), schema.optional());

const port = z.coerce.number().int().min(0).max(65_535);

const location = z.string().transform((text, context): StoreLocation => {
  const parsed = parseLocation(text);
  if (!('problem' in parsed)) return parsed;
  context.addIssue({ code: 'custom', message: parsed.problem });
  return z.NEVER;
});

const environment = z.object({
  TIDEGATE_HOME: setting(z.string()),
  TIDEGATE_PORT: setting(port),
  DATABASE_URL: setting(z.string().regex(/^postgres(ql)?:\/\//, 'must begin with postgresql://')),
  REDIS_URL: setting(z.string().regex(/^rediss?:\/\//, 'must begin with redis:// or rediss://')),
  TIDEGATE_STORE: setting(location),
  TIDEGATE_FLEET_CLOCK: setting(z.string()),
  TIDEGATE_LOG: setting(z.string()),
});

/** `service.json`, as `tidegate init` writes it; what it may say later is not this version's to refuse. */
const stateFile = z.object({ organisation: z.string().regex(ORGANISATION), port: port.default(8443) });

/**
 * The configuration from the environment and the state directory; `TIDEGATE_PORT` wins over `service.json`.
 * @throws StartError `CONFIG_INVALID`, `STATE_MISSING`, `STATE_MALFORMED`
 */
export async function loadConfig(
  env: Record<string, string | undefined>,
  cwd: string,
): Promise<ServiceConfig> {
  const parsed = environment.safeParse(env);
  // The name of the variable, never its value: connection strings hold passwords.
  if (!parsed.success) throw new StartError('CONFIG_INVALID', describe(parsed.error));
  const given = parsed.data;
  const home = resolve(cwd, given.TIDEGATE_HOME ?? '.tidegate');
  const folder = join(home, 'service');
  const state = await readState(folder);
  const path = (file: string | undefined) => (file === undefined ? undefined : resolve(cwd, file));
  return {
    home,
    folder,
    organisation: state.organisation,
    port: given.TIDEGATE_PORT ?? state.port,
    databaseUrl: given.DATABASE_URL,
    redisUrl: given.REDIS_URL,
    store: given.TIDEGATE_STORE,
    fleetClock: path(given.TIDEGATE_FLEET_CLOCK),
    logFile: path(given.TIDEGATE_LOG),
  };
}

async function readState(folder: string): Promise<z.output<typeof stateFile>> {
  const path = join(folder, 'service.json');
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new StartError('STATE_MISSING', folder, { cause });
  });
  return parseJson(path, text, stateFile);
}

/** @throws StartError `STATE_MALFORMED` */
export function parseJson<T extends z.ZodType>(path: string, text: string, schema: T): z.output<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new StartError('STATE_MALFORMED', `${path}: not JSON.`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new StartError('STATE_MALFORMED', `${path}: ${describe(parsed.error)}`);
  return parsed.data;
}

function describe(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
}
