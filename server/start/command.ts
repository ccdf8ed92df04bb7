import { join } from 'node:path';
import { Command } from 'commander';
import type { CommandContext } from '@tidegate/signer/commands';
import { complain } from './complain.ts';
import { loadConfig } from './config.ts';
import type { RunningService } from './service.ts';

const EXAMPLES = `
Without configuration it runs a PostgreSQL of its own, keeps files in ./.tidegate, and makes its own CA.

  TIDEGATE_HOME         state directory (default: ./.tidegate)
  TIDEGATE_PORT         port (default: what "tidegate init" wrote)
  DATABASE_URL          a PostgreSQL >= 15 instead of the embedded one
  REDIS_URL             Redis or Valkey for the queue instead of PostgreSQL
  TIDEGATE_LOG          file for the log (default: standard error; service/service.log on a terminal)
  TIDEGATE_FLEET_CLOCK  file with the fleet's clock, for development and drills

Examples:
  $ tidegate start
  $ TIDEGATE_PORT=9443 tidegate start --json
  $ DATABASE_URL=postgresql://tidegate@db/tidegate REDIS_URL=redis://queue:6379 tidegate start

A signal (Ctrl-C, SIGTERM) stops it in order, also before it is ready; a second one at once.

Exit codes: 0 stopped by a signal, 1 could not start or ended by itself.`;

/** `tidegate start`: runs until SIGTERM or SIGINT, or until the service ends by itself. */
export function startCommand(context: CommandContext): Command {
  return new Command('start')
    .description('Run the service: device API, operator API, rollouts')
    .option('--json', 'say where it is as one line of JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (options: { json?: boolean }) => {
      const json = context.json || options.json === true;
      try {
        const failure = await run(context, json);
        if (failure !== undefined) throw failure;
      } catch (error) {
        complain(context, error, json);
      }
    });
}

async function run(context: CommandContext, json: boolean): Promise<Error | undefined> {
  const given = await loadConfig(context.env, context.cwd);
  // Loaded by the one command that runs it: database, queue and TLS would make every other one twice as slow.
  const [{ startService }, { openLog }] = await Promise.all([import('./service.ts'), import('./log.ts')]);
  // On a terminal the log would bury the one line that matters.
  const beside = process.stderr.isTTY ? join(given.folder, 'service.log') : undefined;
  const config = { ...given, logFile: given.logFile ?? beside };
  const stop = stopSignal();
  try {
    const service = await startService(config, openLog(config.logFile), stop);
    context.out(json ? JSON.stringify(place(service, config.home)) : sentence(service));
    return await endOf(service, stop);
  } catch (error) {
    // Asked to stop before it was ready: it has stopped, and that is all.
    if (error === stop.reason) return undefined;
    throw error;
  } finally {
    // An open channel would keep the process.
    if (process.connected) process.disconnect();
  }
}

function endOf(service: RunningService, stop: AbortSignal): Promise<Error | undefined> {
  const end = (): void => void service.stop();
  stop.addEventListener('abort', end);
  if (stop.aborted) end();
  return service.ended;
}

function place(service: RunningService, home: string): Record<string, unknown> {
  return { url: service.url, organisation: service.organisation, home, pid: process.pid };
}

function sentence(service: RunningService): string {
  return `Tidegate is ready for ${service.organisation} at ${service.url} (operators: tidegate fleet list; readiness: ${service.url}/readyz; stop: Ctrl-C).`;
}

/**
 * Aborted by the first signal, which asks for an orderly stop, also of a start under way; a second one, for people in a hurry, ends the
 * process at once.
 */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(1);
      stop.abort();
    });
  }
  // Started by a program over a channel: the service ends with it, however it ends.
  if (process.send !== undefined) process.once('disconnect', () => stop.abort());
  return stop.signal;
}
