import { pino, type Logger } from 'pino';

const SECRETS = [
  'authorization',
  'password',
  'passphrase',
  'credential',
  'secret',
  'token',
  'connectionString',
];

/** Causes that are told with an error. */
const DEEPEST_CAUSE = 5;

/**
 * What a log needs of an error. Not the rest of it: drivers hang whole clients on their errors, with address, user and password in them,
 * and databases the row that they refused.
 */
export function errorFields(error: unknown, depth = 0): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, cause } = error;
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const told = cause === undefined || depth >= DEEPEST_CAUSE ? {} : { cause: errorFields(cause, depth + 1) };
  return { type: name, ...code, message, stack, ...told };
}

/** JSON lines, to a file or to standard error. What may hold a secret is cut out wherever it turns up. */
export function openLog(file: string | undefined): Logger {
  const destination = pino.destination({ dest: file ?? 2, mkdir: true, sync: true, mode: 0o600 });
  const paths = SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  return pino(
    {
      base: { service: 'tidegate' },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: errorFields },
      redact: { paths, censor: '[cut]' },
    },
    destination,
  );
}
