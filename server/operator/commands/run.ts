import { Command } from 'commander';
import { explain as explainDesk } from '@tidegate/signer/commands';
import { type ServiceClient, serviceClient } from './client.ts';
import { CommandError, type CommandContext, EXIT, problemsOf } from './context.ts';
import { type Credential, loadCredential } from './credential.ts';

/** What a command has to say, to a machine and to a person. */
export interface Result {
  /** Undefined when another command goes on and says it. */
  json: unknown;
  lines: string[];
  /** Default 0. */
  exit?: number;
}

export interface CommonOptions {
  credential?: string | undefined;
  json?: boolean | undefined;
}

export interface Session {
  service: ServiceClient;
  credential: Credential;
  /** Whether a person reads: neither `--json` nor a pipe. */
  interactive: boolean;
  json: boolean;
}

const EXIT_HELP = `
Exit codes: 0 done · 1 refused or failed · 2 the command line is wrong · 3 the service does not answer`;

/** A command with the options that every command of this room has, and its examples in the help. */
export function newCommand(nameAndArguments: string, description: string, examples: string[]): Command {
  const list = examples.map((example) => `  $ tidegate ${example}`).join('\n');
  const [name = '', ...rest] = nameAndArguments.split(' ');
  const command = new Command(name);
  if (rest.length > 0) command.arguments(rest.join(' '));
  return command
    .description(description)
    .option('--credential <file>', 'your credential file (default: TIDEGATE_CREDENTIAL)')
    .option('--json', 'answer in JSON')
    .addHelpText('after', `\nExamples:\n${list}\n${EXIT_HELP}`);
}

/** Runs a command's work as whoever the credential belongs to, and writes its result or its error. */
export async function run(
  context: CommandContext,
  options: CommonOptions,
  work: (session: Session) => Promise<Result>,
): Promise<void> {
  const json = context.json || options.json === true;
  let service: ServiceClient | undefined;
  try {
    const credential = await loadCredential(context, options.credential);
    service = serviceClient(credential);
    const result = await work({ service, credential, json, interactive: context.tty && !json });
    if (json && result.json !== undefined) context.out(JSON.stringify(result.json));
    if (!json) for (const line of result.lines) context.out(line);
    if (result.exit !== undefined && result.exit !== EXIT.ok) leave(context, result.exit);
  } catch (error) {
    fail(context, json, error);
  } finally {
    service?.close();
  }
}

function fail(context: CommandContext, json: boolean, error: unknown): void {
  const { code, message, exit, problem } = explain(error);
  if (json) {
    context.out(JSON.stringify({ error: { ...problem, code, message } }));
  } else {
    context.err(`error ${code}: ${message}`);
    for (const line of problemLines(problem)) context.err(line);
  }
  leave(context, exit);
}

function leave(context: CommandContext, exit: number): void {
  if (context.exit !== undefined) context.exit(exit);
  else process.exitCode = exit;
}

function explain(error: unknown): {
  code: string;
  message: string;
  exit: number;
  problem: Record<string, unknown>;
} {
  if (error instanceof CommandError) {
    const { code, message, exit, problem } = error;
    return { code, message, exit, problem };
  }
  return { ...explainDesk(error), problem: {} };
}

function problemLines(problem: Record<string, unknown>): string[] {
  return problemsOf(problem['problems']).map(
    ({ pointer = '', code = '', detail = '' }) => `  ${[pointer, code, detail].filter(Boolean).join('  ')}`,
  );
}
