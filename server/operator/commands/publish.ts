import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { Command } from 'commander';
import { filesOf, homeOf, isAdopted, listProposals } from '@tidegate/signer/commands';
import {
  type Metadata,
  nameOfProposal,
  type PublicationStep,
  type PublishedVersions,
  publicationSteps,
  type Targets,
} from '@tidegate/signer/repository';
import type { Published } from '../../publishing/index.ts';
import type { ServiceClient } from './client.ts';
import { CommandError, type CommandContext, EXIT } from './context.ts';
import { collect } from './options.ts';
import { allPages } from './pages.ts';
import { type CommonOptions, newCommand, type Result, run, type Session } from './run.ts';
import { namingAll } from './stranded.ts';
import { bytes } from './table.ts';
import {
  lacks,
  type PublishedRelease,
  releasesIn,
  requireAllOut,
  requireSigned,
  signaturesMissing,
  unsigned,
} from './unsigned.ts';
import { uploadProgress } from './upload-progress.ts';

type Options = CommonOptions & { strand: string[]; reason?: string };

export function publishCommand(context: CommandContext): Command {
  return newCommand(
    'publish [proposal]',
    'Send what is signed and not yet published to the service: releases, products, policy',
    [
      'publish                                   (everything that has its signatures)',
      'publish acme.dc150@1.2.0                  (and fail if it lacks signatures)',
      'publish acme.dc150                        (a change of the whole product role)',
      'publish --strand acme.dc150/dc150-1.0.0.img   (knowingly leave chargers on it behind)',
    ],
  )
    .option(
      '--strand <path>',
      'an image, or a whole product, whose chargers this knowingly strands; may be repeated',
      collect,
      [],
    )
    .option('--reason <text>', 'why; for the audit log')
    .action((proposal: string | undefined, options: Options) =>
      run(context, options, (session) => publish(context, session, proposal, options)),
    );
}

async function publish(
  context: CommandContext,
  session: Session,
  name: string | undefined,
  options: Options,
): Promise<Result> {
  const { service } = session;
  const home = homeOf(context);
  const before = await service.get<PublishedVersions>('/repository');
  const steps = await publicationSteps(home.repository, before);
  const waiting = await unsigned(context, before);
  const published = await allPages<PublishedRelease>(service, '/releases');
  if (name !== undefined) await requireSigned(context, name, steps, { published, versions: before });
  else if (steps.length === 0) {
    if (waiting[0] !== undefined) throw signaturesMissing(waiting[0]);
    await requireAllOut(context, published, before);
  }
  const here = await localFiles(context);
  const known = new Set(published.flatMap(filesIn).map(nameOf));
  const done: Published[] = [];
  for (const step of steps) {
    for (const file of listedFiles(step, known)) await uploadMissing(context, session, file, here);
    const reason = options.reason ?? (await reasonOf(context, step)) ?? `publish ${name ?? 'what is signed'}`;
    const publication = { ...step, strand: options.strand, reason };
    done.push(await namingAll(service, () => service.post<Published>('/publications', publication)));
  }
  const releases = done.flatMap((published) => published.releases);
  const yanked = done.flatMap((published) => published.yanked);
  const changed = done.flatMap((published) => published.changedReleases);
  const versions = done.at(-1)?.versions ?? before;
  return {
    json: {
      changed: done.some(({ changed }) => changed),
      releases,
      yanked,
      changedReleases: changed,
      waiting,
      versions,
      steps: done.length,
    },
    lines: [
      ...releases.map(({ product, version }) => `Published ${product} ${version}.`),
      ...changed.map(({ product, version }) => `Changed what is said of ${product} ${version}.`),
      ...yanked.map((path) => `Yanked ${path}.`),
      done.length === 0
        ? 'Everything that is signed is published already.'
        : `The service has root ${versions.root}, targets ${versions.targets}${roleWords(versions.roles)}.`,
      ...waiting.map((one) => `Not published: ${lacks(one)}`),
      ...releases.map((release) => nextStep(release, steps)),
    ],
  };
}

/** Why, as the engineers told each other when they signed what the step brings. */
async function reasonOf(context: CommandContext, step: PublicationStep): Promise<string | undefined> {
  for (const { proposal } of await listProposals(homeOf(context))) {
    const { change, product, role } = proposal;
    const text = step.products[product];
    if (change.kind !== 'yank' && change.kind !== 'deprecate') continue;
    if (text === undefined || !isVersion(text, role.signed.version)) continue;
    if (change.reason !== null) return `${nameOfProposal(proposal)}: ${change.reason}`;
  }
  return undefined;
}

function isVersion(text: string, version: number): boolean {
  return (JSON.parse(text) as Metadata<Targets>).signed.version === version;
}

function nextStep(
  { product, version }: { product: string; version: string },
  steps: PublicationStep[],
): string {
  const adopts = steps
    .flatMap(releasesIn)
    .some((one) => one.custom.product === product && one.custom.version === version && isAdopted(one));
  const what = `--product ${product} --version ${version} --reason …`;
  // The fleet runs an adopted image already.
  return adopts ? `Next: tidegate fleet adopt ${what}` : `Next: tidegate rollout create ${what}`;
}

function roleWords(roles: Record<string, number>): string {
  return Object.entries(roles)
    .map(([product, version]) => `, ${product} ${version}`)
    .join('');
}

interface LocalFile {
  length: number;
  open(): Readable;
}

/** Images, bundles and SBOMs of the proposals on this machine, by digest. */
async function localFiles(context: CommandContext): Promise<Map<string, LocalFile>> {
  const files = new Map<string, LocalFile>();
  for (const { proposal } of await listProposals(homeOf(context))) {
    const { image, side } = filesOf(proposal);
    const path = image && resolve(context.cwd, image.file);
    const found = path === null ? undefined : await stat(path).catch(() => undefined);
    if (image !== null && path !== null && found !== undefined) {
      files.set(image.sha256, { length: found.size, open: () => createReadStream(path) });
    }
    for (const { sha256, bytes } of side) {
      files.set(sha256, { length: bytes.length, open: () => Readable.from([bytes]) });
    }
  }
  return files;
}

interface Listed {
  path: string;
  sha256: string;
}

/** What the step's releases refer to and the service's do not yet. */
function listedFiles(step: PublicationStep, known: ReadonlySet<string>): Listed[] {
  return releasesIn(step)
    .flatMap(({ path, sha256, custom }) => [
      { path, sha256 },
      ...custom.bundles,
      ...(custom.sbom === null ? [] : [custom.sbom]),
    ])
    .filter((file) => !known.has(nameOf(file)));
}

const nameOf = ({ path, sha256 }: Listed) => `${path} ${sha256}`;

function filesIn({ path, sha256, bundles, sbom }: PublishedRelease): Listed[] {
  return [{ path, sha256 }, ...bundles, ...(sbom === null ? [] : [sbom])];
}

async function uploadMissing(
  context: CommandContext,
  { service, interactive, json }: Session,
  file: Listed,
  here: ReadonlyMap<string, LocalFile>,
): Promise<void> {
  if (await isThere(service, file)) return;
  const local = here.get(file.sha256);
  if (local === undefined) {
    throw new CommandError(
      EXIT.failed,
      'FILE_MISSING',
      `${file.path} (SHA-256 ${file.sha256}) is neither at the service nor in a proposal here. Publish from the machine that has it.`,
    );
  }
  const progress = uploadProgress(context, {
    name: `${file.path} (${bytes(local.length)})`,
    length: local.length,
    interactive,
    json,
  });
  await service.put(`/uploads/${file.sha256}`, local.open().on('data', progress.chunk), local.length);
  progress.end();
}

async function isThere(service: ServiceClient, { path, sha256 }: Listed): Promise<boolean> {
  try {
    await service.get(`/uploads/${sha256}`, { path });
    return true;
  } catch (error) {
    if (error instanceof CommandError && error.code === 'NOT_FOUND') return false;
    throw error;
  }
}
