import { Command } from 'commander';
import { Refusal } from '../../protocol/index.ts';
import { diskFiles } from '../../trust/index.ts';
import { Agent } from '../agent.ts';
import { commandHost } from '../command-host.ts';
import type { AgentNews } from '../context.ts';
import { imageMirror } from '../mirror.ts';
import { identityOf, installerOf, transportOf } from '../open.ts';
import { clockOf, provisioningOf, report } from './context.ts';
import type { CommandContext, Result, SharedOptions } from './context.ts';

interface RunOptions extends SharedOptions {
  once?: boolean;
}

export function runCommand(context: CommandContext): Command {
  return new Command('run')
    .description('Check in, take updates, prove them healthy: until it is stopped')
    .option('--once', 'one check-in and what follows from it, then end')
    .option('--config <file>', 'the provisioning file (default: TIDEGATE_CHARGER, else charger.json)')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  $ tidegate-charger run --config charger.yaml
  $ tidegate-charger run --once --json`,
    )
    .action((options: RunOptions) => report(context, options, () => run(context, options)));
}

async function run(context: CommandContext, options: RunOptions): Promise<Result> {
  const provisioning = await provisioningOf(context, options);
  if (!provisioning.host) throw new Refusal('NOT_PROVISIONED', '/host must name the commands of the charger');
  const json = context.json || options.json === true;
  const transport = await transportOf(provisioning);
  const mirrors = provisioning.mirrors.map((url) => imageMirror({ url }));
  const agent = new Agent({
    identity: await identityOf(provisioning),
    files: diskFiles(provisioning.state),
    installer: await installerOf(provisioning.installer, provisioning.factory),
    host: commandHost(provisioning.host, provisioning.installer),
    transport,
    mirrors,
    clock: clockOf(context),
    onEvent: (news) => context.out(json ? JSON.stringify(asJson(news)) : asLine(news)),
  });
  try {
    if (options.once) {
      const pass = await agent.checkInOnce();
      const [refusal] = pass.refusals;
      if (refusal) throw refusal;
      const { action, job } = pass;
      return {
        json: { action, job: job ?? null },
        lines: [`${action}${job ? `: ${job.assignment} ${job.progress}` : ''}`],
      };
    }
    await agent.run(untilStopped());
    return { json: { stopped: true }, lines: ['stopped'] };
  } finally {
    for (const mirror of mirrors) mirror.close();
    transport.close();
  }
}

function untilStopped(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}

function asJson(news: AgentNews): unknown {
  if (news.type === 'phase') return news;
  return { type: 'refused', code: news.refusal.code, message: news.refusal.message };
}

function asLine(news: AgentNews): string {
  if (news.type === 'refused') return `refused ${news.refusal.message}`;
  return `${news.assignment} ${news.phase}${news.detail === null ? '' : `: ${news.detail}`}`;
}
