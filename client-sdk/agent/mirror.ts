/**
 * Where else a charger may fetch images: a CDN, or a cache at the depot. A mirror is trusted with nothing: it is not told who asks, and its
 * bytes count once their digest is the signed one. What it holds lies under the service's own paths, `<mirror>/tuf/targets/…`.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { StreamedAnswer, Transport } from './transport.ts';
import { streamed } from './wire.ts';

export interface MirrorOptions {
  /** `https://cdn.example/firmware`, or `http://…`: the bytes are checked, and the line need not hide them. */
  url: string;
  /** PEM. Unless told, the CAs that the machine knows. */
  ca?: string;
  /** ms, as in `HttpsOptions`. */
  timeout?: number;
}

export type ImageSource = Pick<Transport, 'get' | 'close'>;

export function imageMirror({ url, ca, timeout = 30_000 }: MirrorOptions): ImageSource {
  const options = { keepAlive: true, maxSockets: 1, timeout };
  const agent = url.startsWith('http:')
    ? new HttpAgent(options)
    : new HttpsAgent({ ...options, minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) });
  const wire = { base: url, agent, timeout };
  return {
    get: (path, { headers = {}, signal } = {}): Promise<StreamedAnswer> =>
      streamed(wire, { method: 'GET', path, headers, signal }),
    close: () => agent.destroy(),
  };
}
