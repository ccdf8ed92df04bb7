/** Why the service does not start, or ended by itself. Errors of the rooms below (database, keys, CA) keep their own codes. */
export const START_ERRORS = {
  CONFIG_INVALID: 'Correct the setting that is named, and start again.',
  STATE_MISSING:
    'There is no set-up service here. Run "tidegate init", or point TIDEGATE_HOME at its folder.',
  STATE_MALFORMED:
    'A file of the service is not what "tidegate init" writes. Restore it, or set up a new folder.',
  ALREADY_RUNNING:
    'One service at a time holds a state directory. Use that one, stop it, or give this one a folder of its own with TIDEGATE_HOME.',
  PORT_IN_USE: 'Another program listens there. Stop it, or choose another port with TIDEGATE_PORT.',
  PORT_DENIED: 'This user may not listen there. Choose a port above 1023 with TIDEGATE_PORT.',
  LISTEN_FAILED: 'The service cannot listen there. Choose another port with TIDEGATE_PORT.',
  QUEUE_UNREACHABLE:
    'The queue does not answer. Check REDIS_URL, or unset it to use PostgreSQL for the queue.',
  POSTGRES_LOST: 'The embedded PostgreSQL has ended. Read its log, then start the service again.',
} as const;

export type StartErrorCode = keyof typeof START_ERRORS;

export class StartError extends Error {
  override readonly name = 'StartError';
  readonly code: StartErrorCode;

  /** @param detail what was seen, in a few words, without secrets; what to do follows from the code. */
  constructor(code: StartErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail} [${code}] ${START_ERRORS[code]}`, options);
    this.code = code;
  }
}
