/** From a directive to a staged image: every check of design §3 comes before the first byte of the image is asked for. */
import { createHash } from 'node:crypto';
import { downloadImage, MINIMUM_RATE } from '../download/index.ts';
import { consistentTargetPath, Refusal } from '../protocol/index.ts';
import type { Clock, ReleaseTarget, SideFile } from '../protocol/index.ts';
import {
  decideInstall,
  directedTarget,
  MAX_BUNDLE_BYTES,
  MAX_SBOM_BUNDLE_BYTES,
  parseCustom,
  ReleaseReview,
} from '../trust/index.ts';
import type { TrustResult } from '../trust/index.ts';
import type { Context } from './context.ts';
import type { Job, StagedImage } from './state.ts';
import { waysDown } from './ways-down.ts';
import { readChunks, readUpTo } from './read-up-to.ts';

/** The service itself, beside the mirrors, which go by their number. */
const SERVICE = 'service';

/** May this charger take what `job` names, by what is trusted now? @throws Refusal */
export function admit(context: Context, trust: TrustResult, job: Job): ReleaseTarget {
  const { identity, memory } = context;
  const target = directedTarget(job.target, trust.set, identity.product);
  const { committed, floor, fellBackFrom } = memory.state;
  decideInstall({
    target,
    charger: { product: identity.product, hardware: identity.hardware },
    state: { committed, floor, fellBackFrom, fallbackOfInstalled: waysDown(memory.state, trust) },
    policy: trust.policy,
    now: context.time.now(),
  });
  return target;
}

/** Fetches what `job` names into the inactive slot, verified and not bootable. @throws Refusal */
export async function take(
  context: Context,
  trust: TrustResult,
  job: Job,
  signal: AbortSignal | undefined,
): Promise<StagedImage> {
  const target = admit(context, trust, job);
  await attested(context, trust, target, signal);
  const { product } = context.identity;
  const { version, securityVersion } = target.custom;
  const image = { sha256: target.sha256, length: target.length, version, securityVersion };
  const intake = await context.installer.intake(image);
  if (!intake.whole) {
    await downloadImage({
      paths: [...context.mirrors.keys(), SERVICE].map((source) => `${source}:${servedAt(target)}`),
      sha256: target.sha256,
      length: target.length,
      files: intake.files,
      file: intake.file,
      fetch: (path, { range, signal }) => {
        const [source = '', ...rest] = path.split(':');
        const from = context.mirrors[Number(source)] ?? context.transport;
        return from.get(rest.join(':'), { headers: rangeHeaders(range), signal });
      },
      clock: context.wall,
      minimumRate: MINIMUM_RATE,
      ...(signal ? { signal } : {}),
    });
  }
  await context.installer.install(image);
  return { ...image, ...forTheCommit(trust, product, target) };
}

function forTheCommit(
  trust: TrustResult,
  product: string,
  target: ReleaseTarget,
): Omit<StagedImage, 'sha256' | 'length' | 'version' | 'securityVersion'> {
  const fallbackSecurityVersions: Record<string, number> = {};
  for (const way of target.custom.fallback) {
    const listed = trust.productTargets.targets.get(way.path);
    if (listed?.sha256 !== way.sha256) continue;
    fallbackSecurityVersions[way.sha256] = parseCustom(listed.custom).securityVersion;
  }
  const cap = trust.policy.products[product]?.securityVersionCap ?? target.custom.securityVersion;
  return { fallback: target.custom.fallback, fallbackSecurityVersions, cap };
}

/** Targets, by digest, that were found attested under this very trust: what follows from the same bytes need not be fetched again. */
const found = new WeakMap<TrustResult, Set<string>>();

/**
 * Do builders who count by what is trusted now vouch for `target`, and for its SBOM where one is asked for? Attestations are fetched one
 * at a time, and no more than the policy asks for.
 * @throws Refusal
 */
export async function attested(
  context: Context,
  trust: TrustResult,
  target: ReleaseTarget,
  signal?: AbortSignal,
): Promise<void> {
  const known = found.get(trust) ?? new Set();
  if (known.has(target.sha256)) return;
  const { policy, sigstoreRoot } = trust;
  const review = new ReleaseReview({ target, product: context.identity.product, policy, sigstoreRoot });
  const { bundles, sbom } = target.custom;
  for (const file of bundles) {
    if (review.enough) break;
    const bytes = await fetchSideFile(context, file, MAX_BUNDLE_BYTES, signal);
    if (bytes !== undefined) review.takeBundle(bytes);
  }
  if (review.enough && review.wantsSbom && sbom !== null) {
    const bytes = await fetchSideFile(context, sbom, MAX_SBOM_BUNDLE_BYTES, signal);
    if (bytes !== undefined) review.takeSbom(bytes);
  }
  review.verdict();
  found.set(trust, known.add(target.sha256));
}

/**
 * In memory of exactly the listed length, whatever the other side sends.
 * @returns undefined where it is not there, too long to be read, or not what is listed.
 */
async function fetchSideFile(
  context: Context,
  file: SideFile,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  if (file.length > limit) return undefined;
  const answer = await context.transport.get(servedAt(file), signal ? { signal } : {});
  const found = answer.status === 200;
  const bytes = found ? await readExactly(answer.body, file.length, context.wall) : undefined;
  if (!found) await readUpTo(answer.body, 0, context.wall);
  if (answer.status >= 500) throw new Refusal('DOWNLOAD_FAILED', `${file.path}: status ${answer.status}`);
  if (bytes === undefined) return undefined;
  return createHash('sha256').update(bytes).digest('hex') === file.sha256 ? bytes : undefined;
}

/** @returns undefined where there is more or less. */
async function readExactly(
  body: AsyncIterable<Uint8Array>,
  length: number,
  clock: Clock,
): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  await readChunks(body, clock, (chunk) => {
    if (chunk.length <= length - filled) bytes.set(chunk, filled);
    filled += chunk.length;
    return filled <= length;
  });
  return filled === length ? bytes : undefined;
}

const servedAt = (file: { path: string; sha256: string }): string =>
  `/tuf/targets/${consistentTargetPath(file.path, file.sha256)}`;

function rangeHeaders(range: { from: number; ifRange?: string } | undefined): Record<string, string> {
  if (!range) return {};
  return { range: `bytes=${range.from}-`, ...(range.ifRange ? { 'if-range': range.ifRange } : {}) };
}
