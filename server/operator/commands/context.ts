import type { CommandContext as SignerContext } from '@tidegate/signer/commands';

/** What is written to, and how large it is now. */
export interface Terminal {
  write(text: string): void;
  /** Columns and rows; anything else than positive numbers is taken for 80 by 24. */
  size(): { columns: number; rows: number };
  /** Calls back whenever the size changes, until the returned function is called. */
  onResize(changed: () => void): () => void;
}

/** The same for all rooms; on a terminal these commands also draw progress. */
export interface CommandContext extends SignerContext {
  /** Standard output when left out. */
  terminal?: Terminal;
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

/** One thing that is wrong with one field. */
export interface Problem {
  pointer?: string;
  code?: string;
  detail?: string;
}

/** The `problems` of a service's answer; empty where it has none. */
export function problemsOf(value: unknown): Problem[] {
  return Array.isArray(value) ? (value as Problem[]) : [];
}
