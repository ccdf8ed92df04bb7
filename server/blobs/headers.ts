import { TIMESTAMP_KEY } from '@tidegate/signer/repository';

interface ObjectHeaders {
  CacheControl: string;
  ContentType: string;
}

/** What a CDN that reads the bucket is told, the same as the service tells chargers: only the timestamp ever changes under its name. */
export function headersOf(key: string): ObjectHeaders {
  return {
    CacheControl: key === TIMESTAMP_KEY ? 'no-store' : 'public, max-age=31536000, immutable',
    ContentType: key.startsWith('metadata/') ? 'application/json' : 'application/octet-stream',
  };
}
