/**
 * What Tidegate uses of the S3 protocol, on loopback, for tests: objects with conditional writes, ranges and multipart uploads, behind real
 * signatures. What it does not know it refuses with `NotImplemented`. Faults are asked for one by one.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { S3Error } from './error.ts';
import { type Conditions, Objects, type Received, type StoredObject } from './objects.ts';
import { signatureProblem } from './signature.ts';

export type Operation =
  | 'GetObject'
  | 'HeadObject'
  | 'PutObject'
  | 'DeleteObject'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload';

/**
 * - a status with a code: answered instead of the operation, e.g. `503 SlowDown`;
 * - `lost`: the operation is done, and its answer never sent;
 * - `cut`: the connection ends in the middle of the body, whichever way that goes; nothing is done;
 * - `hang`: nothing is done, and nothing answered; `stall`: half of the answer's body comes, and nothing more;
 * - `slow`: done after two tenths of a second.
 */
export type Fault = `${number} ${string}` | 'lost' | 'cut' | 'hang' | 'stall' | 'slow';

interface FaultRule {
  operation: Operation;
  fault: Fault;
  times: number;
}

const CREDENTIALS = { accessKeyId: 'AKIDTESTTIDEGATE', secretAccessKey: 'test/secret+of/the+store' };
const REGION = 'eu-test-1';
const BUCKET = 'firmware';
const SLOW_MS = 200;
/** What an object keeps of the headers that it was put with. */
const KEPT = /^(content-type|cache-control|x-amz-meta-.+)$/;

export class TestS3 {
  /** What was asked, in its order. */
  readonly log: { operation: Operation; key: string; status: number | 'cut' }[] = [];
  /** Which writes mind `If-Match` and `If-None-Match`; others ignore them, as some stores do. */
  conditional: Record<'PutObject' | 'CompleteMultipartUpload', boolean> = {
    PutObject: true,
    CompleteMultipartUpload: true,
  };
  /** Ignored on every write. */
  ignoredCondition: 'if-match' | 'if-none-match' | undefined;
  /** Answered with 403. */
  denied: Operation[] = [];
  /** Everybody's connection is cut. */
  down = false;
  ignoresRange = false;
  /** Answers to GET that are on their way. */
  reading = 0;
  readonly #folder: string;
  readonly #bucket: Objects;
  readonly #server: Server;
  #rules: FaultRule[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
    this.#bucket = new Objects(folder);
    const listener = (request: IncomingMessage, response: ServerResponse): void =>
      void this.#serve(request, response);
    this.#server = createServer(listener);
    // Told to go on only once the signature is right.
    this.#server.on('checkContinue', listener);
  }

  static async start(): Promise<TestS3> {
    const store = new TestS3(await mkdtemp(join(tmpdir(), 'tidegate s3 ')));
    store.#server.listen(0, '127.0.0.1');
    await once(store.#server, 'listening');
    return store;
  }

  /** For the environment of whoever uses it. */
  get env(): Record<string, string> {
    return {
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    };
  }

  /** `TIDEGATE_STORE`. */
  location(prefix = 'tidegate', bucket = BUCKET): string {
    const { port } = this.#server.address() as AddressInfo;
    return `s3://${bucket}/${prefix}?endpoint=http://127.0.0.1:${port}&region=${REGION}`;
  }

  /** From now on: the next one, or the next few, of an operation fail so. */
  fail(operation: Operation, fault: Fault, times = 1): void {
    this.#rules.push({ operation, fault, times });
  }

  /** Forgets the faults that were asked for and have not happened. @returns how many. */
  calm(): number {
    return this.#rules.splice(0).reduce((sum, { times }) => sum + times, 0);
  }

  keys(): string[] {
    return [...this.#bucket.objects.keys()].sort();
  }

  headers(key: string): Record<string, string> | undefined {
    return this.#bucket.objects.get(key)?.headers;
  }

  /** Unfinished ones. */
  get uploads(): number {
    return this.#bucket.uploads.size;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { bucket, key, query } = addressOf(request);
    const operation = operationOf(request, query);
    const note = (status: number | 'cut'): void => void this.log.push({ operation, key, status });
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    try {
      if (this.down) throw new Cut();
      const problem = signatureProblem(request, CREDENTIALS, REGION);
      if (problem !== undefined) throw new S3Error(problem.startsWith('Auth') ? 400 : 403, problem);
      if (bucket !== BUCKET) throw new S3Error(404, 'NoSuchBucket');
      if (this.denied.includes(operation)) throw new S3Error(403, 'AccessDenied');
      const fault = this.#fault(operation);
      await hit(fault);
      if (request.headers.expect === '100-continue') response.writeContinue();
      const middle = fault === 'cut' ? 0.5 : 1;
      const answer = await this.#run(operation, { request, key, query, middle });
      if (fault === 'lost') throw new Cut();
      note(answer.status);
      this.#countReading(operation, response);
      await send(response, answer, fault === 'stall' ? 0.5 : middle);
      if (fault === 'stall') return;
      if (middle !== 1) throw new Cut();
      response.end();
    } catch (error) {
      if (error instanceof S3Error) {
        note(error.status);
        refuse(request, response, error);
      } else {
        note('cut');
        response.destroy();
        if (!(error instanceof Cut) && !request.destroyed) throw error;
      }
    }
  }

  #countReading(operation: Operation, response: ServerResponse): void {
    if (operation !== 'GetObject') return;
    this.reading += 1;
    response.once('close', () => (this.reading -= 1));
  }

  #fault(operation: Operation): Fault | undefined {
    const rule = this.#rules.find((each) => each.operation === operation);
    if (rule === undefined) return undefined;
    rule.times -= 1;
    if (rule.times === 0) this.#rules = this.#rules.filter((each) => each !== rule);
    return rule.fault;
  }

  async #run(operation: Operation, asked: Asked): Promise<Answer> {
    const { request, key, query } = asked;
    const store = this.#bucket;
    switch (operation) {
      case 'PutObject': {
        const piece = await this.#receive(asked);
        const conditions = this.#conditions('PutObject', request);
        return tagged(store.put(key, piece, keptHeaders(request), conditions).etag);
      }
      case 'CreateMultipartUpload': {
        await this.#receive(asked);
        const id = store.create(key, keptHeaders(request));
        const fields = `<Bucket>${BUCKET}</Bucket><Key>${key}</Key><UploadId>${id}</UploadId>`;
        return xml(200, `<InitiateMultipartUploadResult>${fields}</InitiateMultipartUploadResult>`);
      }
      case 'UploadPart': {
        const upload = store.upload(query.get('uploadId') ?? '', key);
        const piece = await this.#receive(asked);
        upload.parts.set(Number(query.get('partNumber')), piece);
        return tagged(piece.md5);
      }
      case 'CompleteMultipartUpload': {
        const listed = partsIn(await text(request));
        const conditions = this.#conditions('CompleteMultipartUpload', request);
        const { etag } = store.complete(query.get('uploadId') ?? '', key, listed, conditions);
        const fields = `<Bucket>${BUCKET}</Bucket><Key>${key}</Key><ETag>&quot;${etag}&quot;</ETag>`;
        return xml(200, `<CompleteMultipartUploadResult>${fields}</CompleteMultipartUploadResult>`);
      }
      case 'AbortMultipartUpload':
        store.upload(query.get('uploadId') ?? '', key);
        store.uploads.delete(query.get('uploadId') ?? '');
        return { status: 204, headers: {} };
      case 'DeleteObject':
        store.remove(key);
        return { status: 204, headers: {} };
      case 'GetObject':
      case 'HeadObject':
        return this.#read(asked, operation);
    }
  }

  #read({ request, key }: Asked, operation: Operation): Answer {
    const object = this.#bucket.objects.get(key);
    if (object === undefined) throw new S3Error(404, 'NoSuchKey');
    const { ifMatch } = conditionsOf(request);
    if (ifMatch !== undefined && ifMatch !== `"${object.etag}"`) throw new S3Error(412, 'PreconditionFailed');
    const headers = { ...object.headers, ETag: `"${object.etag}"`, 'Accept-Ranges': 'bytes' };
    const range = this.ignoresRange ? undefined : rangeOf(request, object);
    const { start, end } = range ?? { start: 0, end: object.length - 1 };
    const length = { 'Content-Length': String(end - start + 1) };
    const part =
      range === undefined ? undefined : { 'Content-Range': `bytes ${start}-${end}/${object.length}` };
    const body = operation === 'HeadObject' ? [] : this.#bucket.read(object, start, end);
    return { status: range === undefined ? 200 : 206, headers: { ...headers, ...length, ...part }, body };
  }

  async #receive({ request, middle }: Asked): Promise<Received> {
    const { headers } = request;
    const encoding = headers['content-encoding'] ?? '';
    const declared = String(headers['x-amz-content-sha256']);
    if (encoding.includes('aws-chunked') || declared.startsWith('STREAMING')) {
      throw new S3Error(501, 'NotImplemented');
    }
    const length = Number(headers['content-length'] ?? 0);
    const received = await this.#bucket.receive(request, middle === 1 ? Infinity : length * middle);
    if (middle !== 1) throw new Cut();
    if (received.length !== length) throw new S3Error(400, 'IncompleteBody');
    if (declared !== 'UNSIGNED-PAYLOAD' && declared !== received.sha256) {
      throw new S3Error(400, 'XAmzContentSHA256Mismatch');
    }
    const crc = headers['x-amz-checksum-crc32'];
    if (crc !== undefined && crc !== received.crc32) throw new S3Error(400, 'BadDigest');
    return received;
  }

  #conditions(operation: 'PutObject' | 'CompleteMultipartUpload', request: IncomingMessage): Conditions {
    const { ifMatch, ifNoneMatch } = conditionsOf(request);
    const minded = (name: 'if-match' | 'if-none-match'): boolean =>
      this.conditional[operation] && this.ignoredCondition !== name;
    return {
      ifMatch: minded('if-match') ? ifMatch : undefined,
      ifNoneMatch: minded('if-none-match') ? ifNoneMatch : undefined,
    };
  }
}

interface Asked {
  request: IncomingMessage;
  key: string;
  query: URLSearchParams;
  /** How much of the body is let through. */
  middle: number;
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body?: AsyncIterable<Buffer>[] | string;
}

/** Not an answer: the connection ends. */
class Cut extends Error {}

/** Path style, or the bucket as the first label of the host. */
function addressOf(request: IncomingMessage): { bucket: string; key: string; query: URLSearchParams } {
  const url = new URL(request.url ?? '/', 'http://store');
  const path = decodeURIComponent(url.pathname).slice(1);
  const [, virtual] = /^([a-z0-9-]+)\.localhost(?::\d+)?$/.exec(request.headers.host ?? '') ?? [];
  if (virtual !== undefined) return { bucket: virtual, key: path, query: url.searchParams };
  const slash = path.indexOf('/');
  return { bucket: path.slice(0, slash), key: path.slice(slash + 1), query: url.searchParams };
}

function operationOf({ method }: IncomingMessage, query: URLSearchParams): Operation {
  const upload = query.has('uploadId');
  if (method === 'PUT') return upload ? 'UploadPart' : 'PutObject';
  if (method === 'POST') return upload ? 'CompleteMultipartUpload' : 'CreateMultipartUpload';
  if (method === 'DELETE') return upload ? 'AbortMultipartUpload' : 'DeleteObject';
  return method === 'HEAD' ? 'HeadObject' : 'GetObject';
}

async function hit(fault: Fault | undefined): Promise<void> {
  if (fault === 'slow') await sleep(SLOW_MS);
  if (fault === 'hang') await new Promise(() => undefined);
  const [status = '', code = ''] = fault?.split(' ') ?? [];
  if (code !== '') throw new S3Error(Number(status), code);
}

function conditionsOf({ headers }: IncomingMessage): Conditions {
  return { ifMatch: headers['if-match'], ifNoneMatch: headers['if-none-match'] };
}

function keptHeaders({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (KEPT.test(name) ? [[name, String(value)]] : [])),
  );
}

/** A range that ends behind the object is cut to it; one that begins there is refused. RFC 9110 §14.1.2 */
function rangeOf(
  { headers }: IncomingMessage,
  { length }: StoredObject,
): { start: number; end: number } | undefined {
  if (headers.range === undefined) return undefined;
  const [, start = '', end = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.range) ?? [];
  if (start === '') throw new S3Error(501, 'NotImplemented');
  if (Number(start) >= length) throw new S3Error(416, 'InvalidRange');
  return { start: Number(start), end: Math.min(end === '' ? length - 1 : Number(end), length - 1) };
}

function partsIn(body: string): { number: number; etag: string }[] {
  return [...body.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => ({
    number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
    etag: /<ETag>(?:&quot;|")?([0-9a-f]+)/.exec(part)?.[1] ?? '',
  }));
}

async function text(request: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function tagged(etag: string): Answer {
  return { status: 200, headers: { ETag: `"${etag}"` } };
}

function xml(status: number, body: string): Answer {
  return { status, headers: { 'Content-Type': 'application/xml' }, body: `<?xml version="1.0"?>\n${body}` };
}

async function send(response: ServerResponse, { status, headers, body }: Answer, middle: number) {
  response.writeHead(status, headers);
  if (typeof body === 'string') response.write(body);
  let left = middle === 1 ? Infinity : Number(headers['Content-Length'] ?? 0) * middle;
  for (const stream of typeof body === 'string' ? [] : (body ?? [])) {
    for await (const chunk of stream) {
      const piece = chunk.subarray(0, left);
      left -= piece.length;
      if (response.destroyed) return;
      if (!response.write(piece)) await drained(response);
      if (left > 0) continue;
      // What was written goes out before the end does.
      await sleep(20);
      return;
    }
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off('drain', go).off('close', go);
      resolve();
    };
    response.on('drain', go).on('close', go);
  });
}

function refuse(request: IncomingMessage, response: ServerResponse, { status, code }: S3Error): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { headers, body } = xml(status, `<Error><Code>${code}</Code><Message>${code}</Message></Error>`);
  // The rest of a refused body is not read.
  response.writeHead(status, { ...headers, Connection: 'close' });
  response.end(request.method === 'HEAD' ? undefined : body);
  request.resume();
}
