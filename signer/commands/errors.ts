import { Refusal } from '@tidegate/client-sdk/protocol';

/** What goes wrong at the desk itself, with what to do. What the metadata, a key or a release is refused for has its own class. */
export const COMMAND_ERRORS = {
  STATE_EXISTS:
    'There is a Tidegate state here already; init never runs over one. Set TIDEGATE_HOME to another folder.',
  STATE_MISSING:
    'There is no Tidegate state here. Go to the folder that holds .tidegate, or set TIDEGATE_HOME; where nothing exists yet, begin with `tidegate ceremony start --new` (or `tidegate init` to try it out).',
  FILE_UNREADABLE: 'This file cannot be read. Check the path.',
  FILE_EXISTS: 'This file is there already and is not overwritten. Take another name, or move it away.',
  PASSPHRASES_DIFFER: 'The two passphrases are not the same. Nothing was made; try again.',
  NOT_CONFIRMED: 'You did not say yes, so nothing was signed.',
  SERVICE_KEYS_FOREIGN:
    "The service's keys on this machine are not the ones that the ceremony names. Run this where `tidegate key service` was run.",
  SUCCESSOR_MISSING: 'There is no successor to switch to. Make one with `tidegate key service --next`.',
  SUCCESSOR_UNNAMED:
    'The documents here do not name this key yet, so chargers would not believe it. Finish the ceremony that adds it, publish, and switch then.',
  FILE_TOO_LARGE: 'This file is far longer than what is expected here. Check the path.',
  NAME_INVALID:
    'A name begins with a lower-case letter and holds letters, digits and `-`, at most 32 in all.',
  NAMES_REPEATED: 'The same name is given twice.',
  PEOPLE_TOO_FEW: 'Root and targets are signed by two people. Name at least two with --people, better three.',
  OPERATORS_TOO_FEW:
    'A plan is approved by somebody other than its author. Name at least two people with --operators.',
  PERSON_UNKNOWN:
    'No person of this name is known here. Check the spelling of --engineers, or say --new-person with the name.',
  OPTION_INVALID: 'Correct it; --help shows examples.',
  PROPOSAL_UNNAMED:
    'Say which proposal: <product>@<version>, or its file. `tidegate release list` lists them.',
  KEY_UNNAMED: 'Say which key signs: --key, or TIDEGATE_KEY; a file, `pkcs11:…` or `exec:…`.',
  HOLDERS_MISSING: 'Too few of the keys that must sign are here. Bring the missing key files into keys/.',
  HARDWARE_UNKNOWN: 'The product does not come on this hardware. Check the spelling of --hardware.',
} as const;

export type CommandErrorCode = keyof typeof COMMAND_ERRORS;

export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: CommandErrorCode;

  /** @param detail what was seen, in a few words; what to do follows from the code. */
  constructor(code: CommandErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail}: ${COMMAND_ERRORS[code]}`, options);
    this.code = code;
  }
}

/** Exit codes: 0 done, 1 refused or failed, 2 the command line is wrong. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

const USAGE: ReadonlySet<string> = new Set<CommandErrorCode>([
  'NAME_INVALID',
  'NAMES_REPEATED',
  'PEOPLE_TOO_FEW',
  'OPERATORS_TOO_FEW',
  'PERSON_UNKNOWN',
  'PROPOSAL_UNNAMED',
  'OPTION_INVALID',
  'KEY_UNNAMED',
]);

/** Code, sentence and exit code of whatever a command threw. */
export function explain(error: unknown): { code: string; message: string; exit: number } {
  const message =
    error instanceof Refusal ? error.sentence : error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'FAILED';
  return { code, message, exit: USAGE.has(code) ? EXIT.usage : EXIT.failed };
}
