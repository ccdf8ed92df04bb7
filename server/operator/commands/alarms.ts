import type { Command } from 'commander';
import type { AlarmView } from '../routes/alarms.ts';
import { type CommandContext, EXIT } from './context.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { when } from './table.ts';

export function alarmsCommand(context: CommandContext): Command {
  return newCommand('alarms', 'Say what expires or has stopped, and what to do', ['alarms', 'alarms --json'])
    .addHelpText('after', 'Here 0 means that nothing is urgent, and 1 that something is.')
    .action((options: CommonOptions) =>
      run(context, options, async ({ service }) => {
        const { items } = await service.get<{ items: AlarmView[] }>('/alarms');
        const urgent = items.some(({ severity }) => severity === 'urgent');
        return {
          json: { alarms: items },
          lines:
            items.length === 0 ? ['Nothing expires soon, and nothing has stopped.'] : items.flatMap(linesOf),
          exit: urgent ? EXIT.failed : EXIT.ok,
        };
      }),
    );
}

function linesOf({ code, severity, subject, expires, sentence }: AlarmView): string[] {
  const until = expires === null ? '' : `  ${when(expires)}`;
  return [`${severity.padEnd(7)}  ${code}  ${subject}${until}`, `         ${sentence}`];
}
