import { checkKey } from '@tidegate/signer/repository';

/** Where an S3-compatible store is, and in which part of it the blobs lie. Never credentials: the SDK finds those itself. */
export interface StoreLocation {
  bucket: string;
  /** Before every key: empty, or parts that each end in a slash. */
  prefix: string;
  /** Undefined is Amazon's own. */
  endpoint: string | undefined;
  /** Undefined is the SDK's default chain (`AWS_REGION`, a profile). */
  region: string | undefined;
  /** The bucket is in the path, not in the host's name. */
  pathStyle: boolean;
}

/** docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const REGION = /^[a-z0-9-]{1,50}$/;
const SETTINGS = new Set(['endpoint', 'region', 'path-style']);

/**
 * `s3://bucket/prefix?endpoint=https://…&region=…&path-style=true|false`. All but the bucket may be missing. With an endpoint the path
 * style is the default, because a store of one's own rarely has a name for each bucket.
 *
 * @returns or what is wrong with it, in words that hold nothing of it: somebody may have put a secret there.
 */
export function parseLocation(text: string): StoreLocation | { problem: string } {
  const url = URL.parse(text);
  if (url?.protocol !== 's3:') return { problem: 'must begin with s3://' };
  if (url.username !== '' || url.password !== '') {
    return { problem: 'must not hold credentials; the AWS SDK finds them in the environment' };
  }
  const settings = [...url.searchParams.keys()];
  if (url.hash !== '' || !settings.every((name) => SETTINGS.has(name))) {
    return { problem: 'may only set endpoint, region and path-style' };
  }
  if (new Set(settings).size !== settings.length) return { problem: 'must not set anything twice' };
  if (url.port !== '' || !BUCKET.test(url.hostname))
    return { problem: 'must name a bucket: s3://bucket/prefix' };
  const prefix = url.pathname.replace(/^\//, '').replace(/\/$/, '');
  // A URL's own parser would have walked a path with dots already.
  if (text.includes('/.') || (prefix !== '' && !isKey(prefix)))
    return { problem: 'must have a prefix of plain parts, e.g. fleet/eu' };
  const endpoint = url.searchParams.get('endpoint') ?? undefined;
  if (endpoint !== undefined && !isEndpoint(endpoint)) {
    return { problem: 'must have an endpoint such as https://store.example' };
  }
  const region = url.searchParams.get('region') ?? undefined;
  if (region !== undefined && !REGION.test(region))
    return { problem: 'must have a region such as eu-central-1' };
  const style = url.searchParams.get('path-style') ?? String(endpoint !== undefined);
  if (style !== 'true' && style !== 'false') return { problem: 'must have true or false as path-style' };
  return {
    bucket: url.hostname,
    prefix: prefix === '' ? '' : `${prefix}/`,
    endpoint,
    region,
    pathStyle: style === 'true',
  };
}

function isKey(prefix: string): boolean {
  try {
    checkKey(prefix);
    return true;
  } catch {
    return false;
  }
}

/** Scheme, host and port, and nothing else. */
function isEndpoint(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !['https:', 'http:'].includes(url.protocol)) return false;
  return url.username === '' && url.password === '' && `${url.origin}/` === url.href;
}
