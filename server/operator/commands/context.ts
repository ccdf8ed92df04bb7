/** What every command is given; the composition root makes it from the process, tests make their own. */
export interface CommandContext {
  /** One line of the result, to standard output. */
  out(line: string): void;
  /** One line of progress or trouble, to standard error. */
  err(line: string): void;
  /** Whether `--json` was given before the command's name; each command takes it too. */
  json: boolean;
  env: Record<string, string | undefined>;
  /** Relative paths start here. */
  cwd: string;
  /** Whether a person watches: progress bars are drawn then, else plain lines. */
  tty: boolean;
  /** Sets the exit code; the process's own when left out. */
  exit?: (code: number) => void;
  /** Draws over the current line of a terminal; without it progress is written as lines. */
  draw?: (text: string) => void;
}

/**
 * Exit codes of every command:
 * 0 done · 1 refused or failed · 2 the command line is wrong · 3 the service does not answer
 */
export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What ends a command early. `message` says what happened and what to do next. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exit: ExitCode;
  /** Code of the service or of the SDK, or one of this file's own words. */
  readonly code: string;
  /** Further members of the service's problem, for `--json`. */
  readonly problem: Record<string, unknown>;

  constructor(
    exit: ExitCode,
    code: string,
    message: string,
    options: { cause?: unknown; problem?: Record<string, unknown> } = {},
  ) {
    super(message, { cause: options.cause });
    this.exit = exit;
    this.code = code;
    this.problem = options.problem ?? {};
  }
}
