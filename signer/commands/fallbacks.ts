import { compareVersions, type Fallback, type ReleaseTarget, VERSION } from '@tidegate/client-sdk/protocol';
import { RepositoryError } from '../repository/index.ts';
import { invalidOption } from './options.ts';

/**
 * The ways back that are signed with a release.
 * @param wanted `<version>` or `<version>:auto`; `none` alone; empty for the newest earlier release, not automatic.
 * @param listed what the product role lists already.
 * @param expires end of the role's life: a way back outlives the signatures under it by nothing.
 * @throws RepositoryError `FALLBACK_UNKNOWN`; CommandError `OPTION_INVALID`.
 */
export function chooseFallbacks(
  wanted: readonly string[],
  version: string,
  listed: readonly ReleaseTarget[],
  expires: string,
): Fallback[] {
  const earlier = listed.filter(({ custom }) => compareVersions(custom.version, version) < 0);
  const entry = ({ path, sha256 }: ReleaseTarget, auto: boolean) => ({ path, sha256, expires, auto });
  if (wanted.length === 0) {
    const newest = earlier.sort((a, b) => compareVersions(a.custom.version, b.custom.version)).at(-1);
    return newest === undefined ? [] : [entry(newest, false)];
  }
  if (wanted.length === 1 && wanted[0] === 'none') return [];
  const fallbacks = wanted.map((text) => {
    const [name = '', word, ...rest] = text.split(':');
    if (!VERSION.test(name) || (word !== undefined && word !== 'auto') || rest.length > 0) {
      throw invalidOption(
        '--fallback',
        text,
        'an earlier version such as 1.0.0, or 1.0.0:auto; `none` alone',
      );
    }
    const found = earlier.find(({ custom }) => custom.version === name);
    if (found === undefined) throw new RepositoryError('FALLBACK_UNKNOWN', name);
    return entry(found, word === 'auto');
  });
  if (new Set(fallbacks.map(({ path }) => path)).size !== fallbacks.length) {
    throw invalidOption('--fallback', wanted.join(' '), 'each version once');
  }
  return fallbacks;
}
