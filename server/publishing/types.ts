/** What publishing needs, and the shapes that go in and out of it. */
import type { Kysely } from 'kysely';
import type { Clock } from '@tidegate/client-sdk/protocol';
import type { Signer } from '@tidegate/signer/keys';
import type { BlobStore } from '@tidegate/signer/repository';
import type { Database } from '../db/schema.ts';
import type { PublishedVersions } from './published-versions.ts';

export interface PublishingDeps {
  /** The organisation whose repository this service holds; credentials of another one cannot publish here. */
  organisation: string;
  db: Kysely<Database>;
  /** Keys `metadata/<n>.<role>.json`, `metadata/timestamp.json`, `targets/<product>/<sha256>.<file>`, `targets/trust/…`. */
  blobs: BlobStore;
  /** Folder for uploads that no publication has taken yet. Where blobs are files, on their disk, so that it fills before anything is published. */
  staging: string;
  /** The online keys. They say what is current; neither can make firmware valid. */
  keys: { snapshot: Signer; timestamp: Signer };
  clock: Clock;
  /** 0 to 1, below 1; default `Math.random`. Spreads the moments at which services sign. */
  random?: () => number;
  limits?: Partial<UploadLimits>;
}

export interface UploadLimits {
  /** Longest upload, in bytes. Default 4 GiB. */
  upload: number;
  /** All uploads that wait in staging together, in bytes. Default 16 GiB. */
  staging: number;
  /** An upload that no publication has taken after this many milliseconds is removed. Default one day. */
  age: number;
}

/**
 * Signed metadata, each document as the exact text that was signed. Only what changed need be there; a document that is
 * byte-identical to the published one is ignored.
 */
export interface Publication {
  /** Roots after the current one, oldest first. */
  roots: string[];
  /** Top-level targets. */
  targets: string | null;
  /** `trust/policy.json`, as the top-level targets list it. */
  policy: string | null;
  /** `trust/sigstore_root.json`, likewise. */
  sigstoreRoot: string | null;
  /** Role metadata by product. */
  products: Record<string, string>;
  /** Paths of running images or fallbacks, or whole products, that this publication knowingly strands; see `WOULD_STRAND`. */
  strand: string[];
}

/** Who publishes, for the audit log. */
export interface Publisher {
  name: string;
  reason: string;
  /** Where the request came from. */
  source: string;
}

export interface Published {
  /** False when everything was published already; then nothing was written. */
  changed: boolean;
  /** Versions that are current now. */
  versions: PublishedVersions;
  /** Releases that this publication listed first. */
  releases: { product: string; version: string; path: string; sha256: string }[];
  /** Known releases of which something else is said now, or that are listed again. */
  changedReleases: { product: string; version: string }[];
  /** Releases that it no longer lists. */
  yanked: string[];
}
