/** Checks AWS Signature Version 4 as S3 does: the path is taken as it was sent, and encoded once only. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
}

/** A request's clock may be this far away. */
const SKEW_MS = 15 * 60 * 1000;

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/;

/** @returns S3's error code, or undefined when the signature is right. */
export function signatureProblem(
  request: IncomingMessage,
  credentials: Credentials,
  region: string,
): string | undefined {
  const parts = AUTHORIZATION.exec(request.headers.authorization ?? '');
  if (parts === null) return 'AccessDenied';
  const [, id = '', day = '', signedRegion = '', signedHeaders = '', signature = ''] = parts;
  if (id !== credentials.accessKeyId) return 'InvalidAccessKeyId';
  if (signedRegion !== region) return 'AuthorizationHeaderMalformed';
  const date = String(request.headers['x-amz-date']);
  const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(Date.now() - at) < SKEW_MS) || !date.startsWith(day)) return 'RequestTimeTooSkewed';
  const names = signedHeaders.split(';');
  // What says where and what must be signed, else somebody on the way could change it.
  const sent = Object.keys(request.headers).filter((name) => name.startsWith('x-amz-'));
  if (!['host', ...sent].every((name) => names.includes(name))) return 'AccessDenied';
  const scope = `${day}/${region}/s3/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', date, scope, sha256(canonicalRequest(request, names))].join('\n');
  const right = hmac(signingKey(credentials.secretAccessKey, day, region), toSign);
  return timingSafeEqual(right, Buffer.from(signature, 'hex')) ? undefined : 'SignatureDoesNotMatch';
}

function canonicalRequest(request: IncomingMessage, names: string[]): string {
  const [path = '', query = ''] = (request.url ?? '').split('?');
  const pairs = query.split('&').filter((pair) => pair !== '');
  const sorted = pairs.map((pair) => (pair.includes('=') ? pair : `${pair}=`)).sort();
  const headers = names.map((name) => `${name}:${valueOf(request, name)}\n`).join('');
  const payload = String(request.headers['x-amz-content-sha256']);
  return [request.method, path, sorted.join('&'), headers, names.join(';'), payload].join('\n');
}

function valueOf(request: IncomingMessage, name: string): string {
  return String(request.headers[name] ?? '')
    .trim()
    .replace(/ +/g, ' ');
}

function signingKey(secret: string, day: string, region: string): Buffer {
  return [day, region, 's3', 'aws4_request'].reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`));
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
