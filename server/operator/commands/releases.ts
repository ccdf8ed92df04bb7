import { Command } from 'commander';
import {
  dropProposal,
  findProposal,
  homeOf,
  type LocalRelease,
  localReleases,
  signerCommands,
} from '@tidegate/signer/commands';
import { nameOfProposal, type PublishedVersions, RepositoryError } from '@tidegate/signer/repository';
import { CommandError, type CommandContext } from './context.ts';
import { allPages } from './pages.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { bytes, short, table, when } from './table.ts';

interface Release {
  product: string;
  version: string;
  path: string;
  sha256: string;
  length: number;
  hardware: string[];
  securityVersion: number;
  fallback: { path: string; expires: string; auto: boolean }[];
  notes: string;
  cves: string[];
  sbom: { path: string; sha256: string; length: number } | null;
  bundles: { path: string; sha256: string; length: number }[];
  deprecated: string | null;
  refusal: string | null;
  publishedBy: string;
  publishedAt: string;
  yankedAt: string | null;
}

/**
 * `release list` and `release show` know both sides: what is published, and what still waits for signatures here. They take the
 * place of the signer's own, which know this machine alone.
 */
export function releaseCommand(context: CommandContext): Command {
  const group = new Command('release').description('Releases: propose, cosign, look at');
  return group.addCommand(list(context)).addCommand(show(context)).addCommand(drop(context));
}

function list(context: CommandContext): Command {
  type Options = CommonOptions & { product?: string };
  return newCommand('list', 'List what is published, and the proposals on this machine', [
    'release list',
    'release list --product acme.dc150 --json',
  ])
    .option('--product <id>', 'only of this product')
    .action(async ({ product, ...options }: Options) => {
      if (!hasCredential(context, options)) return delegate(context, 'list', [], options);
      return run(context, options, async ({ service }) => {
        const releases = await allPages<Release>(service, '/releases', { product });
        const versions = await service.get<PublishedVersions>('/repository');
        const proposals = await waiting(context, releases, versions, product);
        const rows = releases.map((one) => [
          one.product,
          one.version,
          stateOf(one),
          one.hardware.join(', '),
          when(one.publishedAt),
          short(one.sha256),
        ]);
        const here = proposals.map((one) => [
          one.product,
          one.version ?? '',
          `${one.kind === 'release' ? '' : `${one.kind}: `}${one.complete ? 'ready to publish' : `${one.signatures} of ${one.threshold} signatures`}`,
          '',
          '',
          short(one.sha256),
        ]);
        const header = ['PRODUCT', 'VERSION', 'STATE', 'HARDWARE', 'PUBLISHED', 'SHA-256'];
        const all = [...rows, ...here];
        return {
          json: { releases, proposals },
          lines: all.length === 0 ? ['No releases yet.'] : table(header, all),
        };
      });
    });
}

/** Proposals that are not published yet. A machine without a working copy has none. */
async function waiting(
  context: CommandContext,
  published: Release[],
  versions: PublishedVersions | undefined,
  product: string | undefined,
): Promise<LocalRelease[]> {
  const local = await localReleases(homeOf(context)).catch(() => []);
  const known = new Set(published.map((one) => one.sha256));
  return local
    .filter(({ kind, sha256, product: of, roleVersion }) =>
      kind === 'release' ? !known.has(sha256 ?? '') : roleVersion > (versions?.roles[of] ?? 0),
    )
    .filter((one) => product === undefined || one.product === product);
}

function show(context: CommandContext): Command {
  return newCommand('show <release>', 'Show a published release, or else a proposal on this machine', [
    'release show acme.dc150@1.2.0',
    'release show proposal.json',
  ]).action(async (name: string, options: CommonOptions) => {
    const [, product, version] = /^([^/@]+)@([^/@]+)$/.exec(name) ?? [];
    if (product === undefined || version === undefined || !hasCredential(context, options)) {
      return delegate(context, 'show', [name], options);
    }
    let published = true;
    await run(context, options, async ({ service }) => {
      try {
        const one = await service.get<Release & { chargers: number }>(`/releases/${product}/${version}`);
        return { json: one, lines: describe(one) };
      } catch (error) {
        if (!(error instanceof CommandError) || error.code !== 'RELEASE_UNKNOWN') throw error;
        published = (await waiting(context, [], undefined, product)).every((one) => one.version !== version);
        if (published) throw error;
        return { json: undefined, lines: [] };
      }
    });
    return published ? undefined : delegate(context, 'show', [name], options);
  });
}

function drop(context: CommandContext): Command {
  return newCommand('drop <proposal>', 'Forget a proposal on this machine that is not to be published', [
    'release drop acme.dc150@1.2.0',
    'release drop acme.dc150@1.1.0     (a yank that the service refuses, too)',
  ]).action(async (name: string, options: CommonOptions) => {
    if (!hasCredential(context, options)) return delegate(context, 'drop', [name], options);
    return run(context, options, async ({ service }) => {
      const home = homeOf(context);
      const stored = await findProposal(home, context.cwd, name, { signed: true });
      const { product, role } = stored.proposal;
      const { roles } = await service.get<PublishedVersions>('/repository');
      if (role.signed.version <= (roles[product] ?? 0)) {
        throw new RepositoryError('PROPOSAL_PUBLISHED', nameOfProposal(stored.proposal));
      }
      return dropProposal(home, stored, true);
    });
  });
}

function describe(one: Release & { chargers: number }): string[] {
  return [
    `${one.product} ${one.version}  ${stateOf(one)}${one.yankedAt === null ? '' : ` ${when(one.yankedAt)}`}`,
    ...(one.deprecated === null ? [] : [`  deprecated: ${one.deprecated}`]),
    ...(one.refusal === null ? [] : [`  chargers refuse it: ${one.refusal}`]),
    `  ${one.path}, ${bytes(one.length)}, SHA-256 ${one.sha256}`,
    `  for ${one.hardware.join(', ')}; security version ${one.securityVersion}`,
    `  by ${one.publishedBy} ${when(one.publishedAt)}; ${one.chargers} chargers run it`,
    ...one.bundles.map((bundle) => `  attested by ${bundle.path}, SHA-256 ${short(bundle.sha256)}`),
    one.sbom === null ? '  without an SBOM' : `  SBOM ${one.sbom.path}, ${bytes(one.sbom.length)}`,
    ...one.fallback.map(
      (way) => `  falls back to ${way.path} until ${when(way.expires)}${way.auto ? ', also by itself' : ''}`,
    ),
    ...(one.cves.length === 0 ? [] : [`  fixes ${one.cves.join(', ')}`]),
    ...(one.notes === '' ? [] : [`  ${one.notes}`]),
  ];
}

/** In a word. */
function stateOf({ yankedAt, refusal, deprecated }: Release): string {
  if (yankedAt !== null) return 'yanked';
  if (refusal !== null) return 'refused';
  return deprecated === null ? 'published' : 'deprecated';
}

function hasCredential(context: CommandContext, options: CommonOptions): boolean {
  return options.credential !== undefined || Boolean(context.env['TIDEGATE_CREDENTIAL']);
}

/** The signer's own command of this name. */
async function delegate(
  context: CommandContext,
  name: string,
  args: string[],
  options: CommonOptions,
): Promise<void> {
  const group = signerCommands(context).find((command) => command.name() === 'release');
  const json = options.json === true ? ['--json'] : [];
  await group?.parseAsync([name, ...args, ...json], { from: 'user' });
}
