/** Signing and publishing: the build attests the image, two release engineers sign the role, one of them publishes. */
import { rm } from 'node:fs/promises';
import type { People } from './people.ts';

export const PRODUCT = 'acme.dc150';
export const HARDWARE = 'dc150-r2';
export const OTHER_HARDWARE = 'dc150-r3';

export interface ReleasePlan {
  version: string;
  image: string;
  hardware?: string;
  securityVersion?: number;
  /** Versions to fall back to; `none` for no way back. */
  fallback: string[];
  notes: string;
  /** The image of the fleet as it is: published, never installed. */
  adopt?: boolean;
}

export interface Release {
  version: string;
  path: string;
  sha256: string;
  length: number;
}

export async function release(people: People, plan: ReleasePlan): Promise<Release> {
  const { version, image, fallback, notes, adopt = false } = plan;
  const facts = {
    product: PRODUCT,
    version,
    hardware: plan.hardware ?? HARDWARE,
    'security-version': String(plan.securityVersion ?? 1),
  };
  const said = Object.entries(facts).flatMap(([name, value]) => [`--${name}`, value]);
  const bundle = `${image}.sigstore.json`;
  await people.as('erin', 'sign', image, ...said, '--out', bundle);
  const more = [...fallback.flatMap((way) => ['--fallback', way]), ...(adopt ? ['--adopt'] : [])];
  await people.as(
    'erin',
    'release',
    'propose',
    image,
    '--bundle',
    bundle,
    ...said,
    '--notes',
    notes,
    ...more,
  );
  await people.as('frank', 'release', 'cosign', `${PRODUCT}@${version}`);
  await people.as('erin', 'publish', `${PRODUCT}@${version}`);
  await rm(bundle);
  return people.as<Release>('erin', 'release', 'show', `${PRODUCT}@${version}`);
}
