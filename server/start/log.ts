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

/** JSON lines, to a file or to standard error. What may hold a secret is cut out wherever it turns up. */
export function openLog(file: string | undefined): Logger {
  const destination = pino.destination({ dest: file ?? 2, mkdir: true, sync: true, mode: 0o600 });
  const paths = SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  return pino(
    {
      base: { service: 'tidegate' },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths, censor: '[cut]' },
    },
    destination,
  );
}
