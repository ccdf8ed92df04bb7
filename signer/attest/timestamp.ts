/** RFC 3161 timestamps over signatures. Asked for in DER, which every authority takes; the library speaks the JSON of Sigstore's own alone. */
import { createHash } from 'node:crypto';
import type { SignatureBundle, Witness } from '@sigstore/sign';
import { AttestError } from './errors.ts';
import { ask } from './http.ts';

const ATTEMPTS = 6;
/** TimeStampReq of version 1 with a SHA-256 imprint to come, and then `certReq TRUE`. RFC 3161 2.4.1 */
const BEFORE_DIGEST = Buffer.from('30390201013031300d060960864801650304020105000420', 'hex');
const CERTIFICATES_WANTED = Buffer.from('0101ff', 'hex');
/** The first GeneralizedTime of an answer is genTime: certificates come after it. */
const GENERALIZED_TIME = /(?<!\d)\d{14}(?:\.(\d+))?Z/;

/** @param url of the authority; Sigstore's path is added where it has none. */
export function timestampAuthority(url: string): Witness {
  const endpoint = URL.canParse(url) && new URL(url).pathname === '/' ? `${url}/api/v1/timestamp` : url;
  return {
    testify: async (content) => ({
      rfc3161Timestamps: [{ signedTimestamp: await timestamp(endpoint, signatureOf(content)) }],
    }),
  };
}

/**
 * A token whose time the charger's verifier reads: @sigstore/core knows no fraction of a second or one of exactly three digits, while
 * RFC 3161 drops trailing zeros. An authority with milliseconds is asked again, one time in ten.
 */
async function timestamp(url: string, signature: Buffer): Promise<Buffer> {
  const digest = createHash('sha256').update(signature).digest();
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const { body } = await ask({
      service: 'The timestamp authority',
      url,
      headers: { 'content-type': 'application/timestamp-query', accept: 'application/timestamp-reply' },
      body: Buffer.concat([BEFORE_DIGEST, digest, CERTIFICATES_WANTED]),
    });
    const [time, fraction] = GENERALIZED_TIME.exec(body.toString('latin1')) ?? [];
    if (time !== undefined && (fraction === undefined || fraction.length === 3)) return body;
    if (time === undefined) break;
  }
  throw new AttestError('SERVICE_ANSWER', `The timestamp authority at ${url}`);
}

function signatureOf(content: SignatureBundle): Buffer {
  if (content.$case === 'messageSignature') return content.messageSignature.signature;
  return content.dsseEnvelope.signatures[0]?.sig ?? Buffer.alloc(0);
}
