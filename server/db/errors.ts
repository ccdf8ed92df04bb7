/** Why the database cannot be used. The code is for machines; the sentence says what to do. */
export const DATABASE_ERRORS = {
  DATABASE_NEWER:
    'The database was migrated by a newer version. Start that version, or restore a backup from before the upgrade; migrations never run backward.',
  DATABASE_UNREACHABLE: 'The database does not answer. Check DATABASE_URL and that PostgreSQL is running.',
  DATABASE_UNSUPPORTED: 'The database is older than PostgreSQL 15. Upgrade it.',
  MIGRATION_FAILED:
    'A migration failed and was taken back. Start the version that ran before, and report this one with its log.',
  NUMBER_TOO_LARGE:
    'A whole number in the database is beyond 2^53 − 1: something else has written to it. Restore a backup.',
  POSTGRES_MISSING:
    'No PostgreSQL binaries for this machine. Install the optional dependencies (npm install), or set DATABASE_URL.',
  POSTGRES_FAILED: 'The embedded PostgreSQL did not start. Read postgres.log beside its data.',
  POSTGRES_IN_USE:
    'Another service runs on the same state folder. Stop it, or give this one a folder of its own with TIDEGATE_HOME.',
  POSTGRES_USER:
    'PostgreSQL refuses to run as root, and no system user was found or could be made for it. Create the user "tidegate", or set DATABASE_URL.',
} as const;

export type DatabaseErrorCode = keyof typeof DATABASE_ERRORS;

export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
  readonly code: DatabaseErrorCode;

  /** @param detail what was seen, in a few words; what to do follows from the code. */
  constructor(code: DatabaseErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail} [${code}] ${DATABASE_ERRORS[code]}`, options);
    this.code = code;
  }
}
