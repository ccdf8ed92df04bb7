import { beforeAll, describe, expect, it } from 'vitest';
import { BUNDLE_MEDIA_TYPES, readBundle, trustMaterial } from './sigstore.ts';
import { TestSigstore } from './testing/keyless.ts';
import { expectRefusal } from './testing/refused.ts';

let sigstore: TestSigstore;
beforeAll(async () => {
  sigstore = await TestSigstore.create();
});

const noKey = () => {
  throw new Error('no key');
};

describe('a trusted root', () => {
  it.each(['tlogs', 'ctlogs'])('must say since when the keys of its %s count', (logs) => {
    const raw = JSON.parse(sigstore.trustedRoot().toString());
    raw.ctlogs = structuredClone(raw.tlogs);
    expect(() => trustMaterial(encode(raw), noKey)).not.toThrow();
    for (const validFor of [{ end: '2027-01-01T00:00:00Z' }, {}, undefined]) {
      raw[logs][0].publicKey.validFor = validFor;
      expectRefusal('POLICY_MALFORMED', () => trustMaterial(encode(raw), noKey));
    }
  });

  it.each(['[]', 'null', '"text"', '{', '{"tlogs":[{}]}', '{"tlogs":[7]}'])('is not %s', (text) => {
    expectRefusal('POLICY_MALFORMED', () => trustMaterial(Buffer.from(text), noKey));
  });
});

describe('a bundle', () => {
  it('is of a format that is known', async () => {
    const raw = JSON.parse((await sigstore.bundle({ any: 'thing' })).toString());
    for (const mediaType of BUNDLE_MEDIA_TYPES) readBundle(encode({ ...raw, mediaType }));
    for (const mediaType of [
      'application/vnd.dev.sigstore.bundle+json;version=0.9',
      'application/vnd.dev.sigstore.bundle.v1.0+json',
      'application/vnd.dev.sigstore.bundle.v0.3+json;charset=utf-8',
    ]) {
      expectRefusal('BUNDLE_INVALID', () => readBundle(encode({ ...raw, mediaType })));
    }
  });

  it('holds no more evidence than is read', async () => {
    const raw = JSON.parse((await sigstore.bundle({ any: 'thing' })).toString());
    const stamps = Array.from({ length: 17 }, () => ({ signedTimestamp: 'AAAA' }));
    raw.verificationMaterial.timestampVerificationData = { rfc3161Timestamps: stamps };
    expectRefusal('BUNDLE_INVALID', () => readBundle(encode(raw)));
  });
});

function encode(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
