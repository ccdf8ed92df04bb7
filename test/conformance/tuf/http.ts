/** GET from a repository, bounded in bytes and in time. */
import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';

/** Milliseconds without a byte. */
const SILENCE = 30_000;

/**
 * @param path below the base, encoded.
 * @returns undefined when the repository has no such file.
 * @throws when it cannot be asked, answers strangely, or sends more than `maxBytes`.
 */
export type RepositoryGet = (path: string, maxBytes: number) => Promise<Buffer | undefined>;

/** @param base URL, with or without a `/` at its end. */
export function httpRepository(base: string): RepositoryGet {
  const folder = base.endsWith('/') ? base : `${base}/`;
  return async (path, maxBytes) => {
    const response = await ask(new URL(folder + path));
    try {
      if (response.statusCode === 404 || response.statusCode === 403) return undefined;
      if (response.statusCode !== 200) throw new Error(`${path}: status ${response.statusCode}`);
      return await read(response, path, maxBytes);
    } finally {
      response.destroy();
    }
  };
}

function ask(url: URL): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const get = url.protocol === 'https:' ? getHttps : getHttp;
    const request = get(url, { agent: false, headers: { 'accept-encoding': 'identity' } }, resolve);
    request.setTimeout(SILENCE, () => request.destroy(new Error(`${url.href}: silent`)));
    request.once('error', reject);
  });
}

async function read(response: IncomingMessage, path: string, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`${path}: more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
