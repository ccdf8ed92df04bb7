/** Looking after what is published: each of these proposes one change of the product role, for the others to cosign. */
import { Command } from 'commander';
import { type Fallback, SHA256 } from '@tidegate/client-sdk/protocol';
import {
  type Amend,
  expiryOf,
  listedRelease,
  type Metadata,
  releasesOf,
  RepositoryError,
  type Targets,
  type WorkingCopy,
} from '../repository/index.ts';
import type { CommandContext } from './context.ts';
import { CommandError } from './errors.ts';
import { chooseFallbacks } from './fallbacks.ts';
import { collect, productId, releaseName } from './options.ts';
import { type Desk, proposeChange, type Wanted } from './propose-change.ts';
import { bundleFiles, readBundles, readSbomBundle, sbomFile } from './release-target.ts';
import { report } from './result.ts';

interface KeyOptions {
  key?: string;
  json?: boolean;
}

export function upkeepCommands(context: CommandContext): Command[] {
  return [
    attestCommand(context),
    amendCommand(context),
    deprecateCommand(context),
    yankCommand(context),
    renewCommand(context),
  ];
}

function attestCommand(context: CommandContext): Command {
  type Options = KeyOptions & { bundle: string[]; remove: string[]; sbom?: string };
  return proposing('attest', '<release>', 'Add attestations to a published release, or drop dead ones', [
    'release attest acme.dc150@1.2.0 --bundle acme.dc150-1.2.0.again.sigstore.json',
    'release attest acme.dc150@1.2.0 --sbom fw.raucb.sbom.sigstore.json',
    'release attest acme.dc150@1.2.0 --remove acme.dc150/dc150-1.2.0.raucb.sigstore.json',
  ])
    .option('--bundle <file>', 'from `tidegate reattest`; may be repeated', collect, [])
    .option('--remove <bundle>', 'path or SHA-256 of a bundle to drop; may be repeated', collect, [])
    .option('--sbom <file>', 'the bundle around its SBOM, in the place of the one before')
    .action((name: string, options: Options) =>
      report(context, options, () => {
        const { product, version } = releaseName(name);
        return proposeChange(context, product, options.key, (desk) =>
          attestation(context.cwd, desk, { product, version, ...options }),
        );
      }),
    );
}

async function attestation(
  cwd: string,
  { copy, here }: Desk,
  wanted: { product: string; version: string; bundle: string[]; remove: string[]; sbom?: string },
): Promise<Wanted> {
  const { product, version } = wanted;
  const { path, custom } = listedRelease(roleIn(copy, product), product, version);
  const bundles = await readBundles(cwd, wanted.bundle);
  const sbom = wanted.sbom === undefined ? undefined : await readSbomBundle(cwd, wanted.sbom);
  const remove = wanted.remove.map((name) => {
    const found = custom.bundles.find((file) => file.path === name || file.sha256 === name);
    if (found === undefined && !SHA256.test(name)) throw new RepositoryError('BUNDLE_UNKNOWN', name);
    return found?.sha256 ?? name;
  });
  const kept = custom.bundles.filter(({ sha256 }) => !remove.includes(sha256));
  const others = [...kept, ...(sbom === undefined && custom.sbom !== null ? [custom.sbom] : [])];
  return {
    change: {
      kind: 'attest',
      version,
      add: bundleFiles(path, bundles, custom.bundles),
      remove,
      ...(sbom === undefined ? {} : { sbom: sbomFile(path, sbom) }),
    },
    files: [
      ...others.flatMap(({ sha256 }) => here.get(sha256) ?? []),
      ...bundles,
      ...(sbom === undefined ? [] : [sbom]),
    ],
  };
}

function amendCommand(context: CommandContext): Command {
  type Options = KeyOptions & {
    notes?: string;
    cve: string[];
    fallback: string[];
    renewFallbacks?: boolean;
  };
  return proposing(
    'amend',
    '<release>',
    'Change what is said of a published release: ways back, notes, CVEs',
    [
      'release amend acme.dc150@1.2.0 --renew-fallbacks',
      'release amend acme.dc150@1.2.0 --fallback 1.1.0:auto --fallback 1.0.0',
      "release amend acme.dc150@1.2.0 --notes 'Fixes the lock' --cve CVE-2026-1234",
    ],
  )
    .option(
      '--fallback <version[:auto]>',
      'the earlier releases that chargers may go back to from now on; may be repeated; `none` for no way back',
      collect,
      [],
    )
    .option('--renew-fallbacks', 'the same ways back, for as long as the role lives')
    .option('--notes <text>', 'what is new, for operators')
    .option('--cve <id>', 'what it fixes, in the place of what was listed; may be repeated', collect, [])
    .action((name: string, options: Options) =>
      report(context, options, () => {
        const { product, version } = releaseName(name);
        if (options.renewFallbacks === true && options.fallback.length > 0) {
          throw new CommandError('OPTION_INVALID', '--fallback and --renew-fallbacks');
        }
        return proposeChange(context, product, options.key, ({ copy, at }) => {
          const role = roleIn(copy, product);
          const { custom } = listedRelease(role, product, version);
          const expires = expiryOf('product', at);
          const fallback = waysBack(options, version, role, custom.fallback, expires);
          const change: Amend = {
            kind: 'amend',
            version,
            ...(fallback === undefined ? {} : { fallback }),
            ...(options.notes === undefined ? {} : { notes: options.notes }),
            ...(options.cve.length === 0 ? {} : { cves: options.cve }),
          };
          return { change };
        });
      }),
    );
}

function waysBack(
  options: { fallback: string[]; renewFallbacks?: boolean },
  version: string,
  role: Metadata<Targets>,
  before: Fallback[],
  expires: string,
): Fallback[] | undefined {
  if (options.renewFallbacks === true) return before.map((way) => ({ ...way, expires }));
  if (options.fallback.length === 0) return undefined;
  return chooseFallbacks(options.fallback, version, releasesOf(role), expires);
}

function deprecateCommand(context: CommandContext): Command {
  type Options = KeyOptions & { reason?: string; undo?: boolean };
  return proposing(
    'deprecate',
    '<release>',
    'Let no new rollout bring a release; it stays valid and a way back',
    [
      'release deprecate acme.dc150@1.1.0 --reason "1.2.0 fixes its display"',
      'release deprecate acme.dc150@1.1.0 --undo',
    ],
  )
    .option('--reason <text>', 'why; it is signed, and shown to operators')
    .option('--undo', 'let rollouts bring it again')
    .action((name: string, options: Options) =>
      report(context, options, () => {
        const { product, version } = releaseName(name);
        const { reason, undo = false } = options;
        if ((reason === undefined) !== undo || reason === '') {
          throw new CommandError('OPTION_INVALID', 'Either --reason or --undo');
        }
        return proposeChange(context, product, options.key, () => ({
          change: { kind: 'deprecate', version, reason: reason ?? null },
        }));
      }),
    );
}

function yankCommand(context: CommandContext): Command {
  type Options = KeyOptions & { reason: string };
  return proposing(
    'yank',
    '<release>',
    'Take a release out of the product role: no charger installs it any more',
    ['release yank acme.dc150@1.1.0 --reason "it leaves the contactor closed"'],
  )
    .requiredOption('--reason <text>', 'why; for those who cosign')
    .action((name: string, options: Options) =>
      report(context, options, () => {
        const { product, version } = releaseName(name);
        return proposeChange(context, product, options.key, () => ({
          change: { kind: 'yank', version, reason: options.reason },
        }));
      }),
    );
}

function renewCommand(context: CommandContext): Command {
  return proposing(
    'renew',
    '<product>',
    'Sign a product role anew before it expires: the same for another 90 days',
    ['release renew acme.dc150'],
  ).action((name: string, options: KeyOptions) =>
    report(context, options, () =>
      proposeChange(context, productId(name, '<product>'), options.key, () => ({
        change: { kind: 'renew' },
      })),
    ),
  );
}

/** A command that ends in a proposal, signed once. */
function proposing(name: string, argument: string, description: string, examples: string[]): Command {
  const lines = examples.map((example) => `  $ tidegate ${example}`).join('\n');
  return new Command(name)
    .description(description)
    .argument(argument, argument === '<release>' ? '<product>@<version>' : 'e.g. acme.dc150')
    .option(
      '--key <key>',
      'your key for this product: a file, `pkcs11:…` or `exec:…` (default: TIDEGATE_KEY)',
    )
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
As many engineers sign it as a release takes: \`tidegate release cosign\`, then \`tidegate publish\`.

Examples:
${lines}`,
    );
}

/** @throws RepositoryError `PRODUCT_UNKNOWN`. */
function roleIn(copy: WorkingCopy, product: string): Metadata<Targets> {
  const role = copy.products.get(product)?.metadata;
  if (role === undefined) throw new RepositoryError('PRODUCT_UNKNOWN', product);
  return role;
}
