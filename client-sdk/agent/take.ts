/** From a directive to a staged image: every check of design §3 comes before the first byte of the image is asked for. */
import { createHash } from 'node:crypto';
import { downloadImage } from '../download/index.ts';
import { consistentTargetPath, Refusal } from '../protocol/index.ts';
import type { Fallback, ReleaseTarget, SideFile } from '../protocol/index.ts';
import { decideInstall, directedTarget, parseCustom, verifyRelease } from '../trust/index.ts';
import type { TrustResult } from '../trust/index.ts';
import type { Context } from './context.ts';
import type { Job, StagedImage } from './state.ts';
import { readUpTo } from './read-up-to.ts';

/** Longest bundle, in bytes. */
const BUNDLE_BYTES = 1024 * 1024;
/** Bundles looked at; any valid one suffices. */
const BUNDLES = 8;
/** Slowest rate of a download, in bytes per second: below it, a stalled connection is given up. */
const MINIMUM_RATE = 1024;

/** May this charger take what `job` names, by what is trusted now? @throws Refusal */
export function admit(context: Context, trust: TrustResult, job: Job): ReleaseTarget {
  const { identity, memory } = context;
  const target = directedTarget(job.target, trust.set, identity.product);
  const { committed, floor, fellBackFrom } = memory.state;
  decideInstall({
    target,
    charger: { product: identity.product, hardware: identity.hardware },
    state: { committed, floor, fellBackFrom, fallbackOfInstalled: waysDown(context, trust) },
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
      paths: [servedAt(target)],
      sha256: target.sha256,
      length: target.length,
      files: intake.files,
      file: intake.file,
      fetch: (path, { range, signal }) =>
        context.transport.get(path, { headers: rangeHeaders(range), signal }),
      clock: context.wall,
      minimumRate: MINIMUM_RATE,
      ...(signal ? { signal } : {}),
    });
  }
  await context.installer.install(image);
  return { ...image, ...forTheCommit(trust, product, target) };
}

/** Does a builder who counts by what is trusted now vouch for `target`? @throws Refusal */
export async function attested(
  context: Context,
  trust: TrustResult,
  target: ReleaseTarget,
  signal?: AbortSignal,
): Promise<void> {
  const { product } = context.identity;
  const bundles = await fetchBundles(context, target.custom.bundles, signal);
  verifyRelease({ target, bundles, product, policy: trust.policy, sigstoreRoot: trust.sigstoreRoot });
}

/** Signed fallbacks of the committed image: the current role's entry, else the persisted one. */
function waysDown({ memory }: Context, trust: TrustResult): Fallback[] {
  const { committed, fallbackOfInstalled } = memory.state;
  for (const listed of trust.productTargets.targets.values()) {
    if (listed.sha256 === committed.sha256) return parseCustom(listed.custom).fallback;
  }
  return fallbackOfInstalled;
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

async function fetchBundles(
  context: Context,
  listed: SideFile[],
  signal: AbortSignal | undefined,
): Promise<Uint8Array[]> {
  const bundles: Uint8Array[] = [];
  for (const file of listed.slice(0, BUNDLES)) {
    if (file.length > BUNDLE_BYTES) continue;
    const answer = await context.transport.get(servedAt(file), signal ? { signal } : {});
    const bytes = await readUpTo(answer.body, answer.status === 200 ? file.length + 1 : 0);
    if (answer.status === 200 && createHash('sha256').update(bytes).digest('hex') === file.sha256) {
      bundles.push(bytes);
    } else if (answer.status >= 500) {
      throw new Refusal('DOWNLOAD_FAILED', `${file.path}: status ${answer.status}`);
    }
  }
  return bundles;
}

const servedAt = (file: { path: string; sha256: string }): string =>
  `/tuf/targets/${consistentTargetPath(file.path, file.sha256)}`;

function rangeHeaders(range: { from: number; ifRange?: string } | undefined): Record<string, string> {
  if (!range) return {};
  return { range: `bytes=${range.from}-`, ...(range.ifRange ? { 'if-range': range.ifRange } : {}) };
}
