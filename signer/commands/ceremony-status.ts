import { Command } from 'commander';
import {
  authorityOf,
  ceremonyJson,
  describeCeremony,
  fingerprint,
  roleLines,
  type TrustState,
} from '../ceremony/index.ts';
import { openCeremony, ownState } from './ceremony-files.ts';
import { type CommandContext, now } from './context.ts';
import { CommandError } from './errors.ts';
import { homeOf } from './home.ts';
import { report, type Result } from './result.ts';

export function ceremonyStatusCommand(context: CommandContext): Command {
  return new Command('status')
    .description(
      'What a ceremony changes, who has signed it and who is missing; without a file, who may do what today',
    )
    .argument('[files...]', 'the ceremony, or several signed copies of it')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ tidegate ceremony status left.ceremony
  $ tidegate ceremony status left-ann.ceremony left-ben.ceremony --json
  $ tidegate ceremony status`,
    )
    .action((files: string[], options: { json?: boolean }) =>
      report(context, options, () => status(context, files)),
    );
}

async function status(context: CommandContext, [first, ...others]: string[]): Promise<Result> {
  if (first === undefined) return today(context);
  const checked = await openCeremony(context, [first, ...others]);
  return {
    json: ceremonyJson(checked),
    lines: [
      ...describeCeremony(checked, now(context)),
      checked.finished
        ? 'Next: tidegate publish'
        : checked.complete
          ? `All signatures are there. Next: tidegate ceremony finish ${[first, ...others].join(' ')}`
          : 'More signatures are needed.',
    ],
  };
}

async function today(context: CommandContext): Promise<Result> {
  const home = homeOf(context);
  const own = await ownState(home);
  if (own === undefined) throw new CommandError('STATE_MISSING', home.folder);
  const authority = authorityOf(own);
  const documents = documentsIn(own);
  return {
    json: {
      fingerprint: fingerprint(own.root),
      roles: [...authority.roles].map(([name, { keyids, threshold }]) => ({
        name,
        threshold,
        keys: keyids.map((keyId) => ({ keyId, name: authority.people.get(keyId) ?? null })),
      })),
      documents,
    },
    lines: [
      ...roleLines(authority),
      ...documents.map(
        ({ name, version, expires }) => `${name} version ${version} ${lifeWords(expires, now(context))}`,
      ),
      `Fingerprint of the root: ${fingerprint(own.root)}`,
    ],
  };
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** As the service's alarms begin. */
const SOON_DAYS = 30;

function lifeWords(expires: string, at: number): string {
  const days = Math.floor((Date.parse(expires) - at) / DAY_MS);
  const next = 'Next: tidegate ceremony start FILE --renew all';
  if (Date.parse(expires) <= at) return `counts no more since ${expires}. ${next}`;
  return `is valid until ${expires}${days < SOON_DAYS ? `, ${days} days from now. ${next}` : ''}`;
}

function documentsIn({ root, targets, products }: TrustState) {
  const all = [['root', root] as const, ['targets', targets] as const, ...Object.entries(products)];
  return all.map(([name, { signed }]) => ({ name, version: signed.version, expires: signed.expires }));
}
