import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AttestError, parseSigningConfig } from './index.ts';
import { selectServices, type Service } from './signing-config.ts';

const MEDIA_TYPE = 'application/vnd.dev.sigstore.signingconfig.v0.2+json';
const NOW = Date.parse('2026-11-22T12:00:00Z');

/** As `cosign signing-config create` writes it. */
const WRITTEN = {
  mediaType: MEDIA_TYPE,
  caUrls: [
    {
      url: 'https://fulcio.example/',
      majorApiVersion: 1,
      validFor: { start: '2026-01-01T00:00:00Z' },
      operator: 'a',
    },
  ],
  oidcUrls: [],
  rekorTlogUrls: [
    {
      url: 'https://rekor.example',
      majorApiVersion: 2,
      validFor: { start: '2026-01-01T00:00:00Z', end: '2027-01-01T00:00:00Z' },
    },
  ],
  tsaUrls: [
    {
      url: 'https://tsa.example/api/v1/timestamp',
      majorApiVersion: 1,
      validFor: { start: '2026-01-01T00:00:00Z' },
    },
  ],
  rekorTlogConfig: { selector: 'EXACT', count: 2 },
  tsaConfig: { selector: 'ANY' },
};

const parse = (config: unknown) => parseSigningConfig(Buffer.from(JSON.stringify(config)));

describe('a signing config', () => {
  it('is read as cosign writes it', () => {
    const config = parse(WRITTEN);
    expect(config.authorities[0]).toMatchObject({
      url: 'https://fulcio.example',
      version: 1,
      operator: 'a',
      end: Infinity,
    });
    expect(config.logs[0]?.end).toBe(Date.parse('2027-01-01T00:00:00Z'));
    expect(config.logSelector).toEqual({ kind: 'EXACT', count: 2 });
    expect(config.timestampSelector).toEqual({ kind: 'ANY' });
  });

  it.each([
    ['of version 0.1', { mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.1+json' }],
    ['with an unknown selector', { rekorTlogConfig: { selector: 'SOME' } }],
    ['with a count of none', { rekorTlogConfig: { selector: 'EXACT', count: 0 } }],
    ['without a URL', { caUrls: [{ majorApiVersion: 1 }] }],
    ['without an API version', { caUrls: [{ url: 'https://a.example' }] }],
    [
      'with a date that is none',
      { caUrls: [{ url: 'https://a.example', majorApiVersion: 1, validFor: { start: 'soon' } }] },
    ],
    ['with services that are no list', { tsaUrls: {} }],
    ['with more services than anybody runs', { tsaUrls: Array(65).fill(WRITTEN.tsaUrls[0]) }],
  ])('%s is refused', (_, changes) => {
    const refused = expect.objectContaining({ code: 'SIGNING_CONFIG' }) as Error;
    expect(() => parse({ ...WRITTEN, ...changes })).toThrow(refused);
  });

  it('is read or refused, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(WRITTEN)), fc.jsonValue(), (name, value) => {
        try {
          parse({ ...WRITTEN, [name]: value });
        } catch (error) {
          expect((error as AttestError).code).toBe('SIGNING_CONFIG');
        }
      }),
      { numRuns: 500, seed: 3 },
    );
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from([0xff]),
      Buffer.alloc(70_000, 0x20),
      Buffer.from('null'),
    ]) {
      expect(() => parseSigningConfig(bytes)).toThrow(AttestError);
    }
  });
});

describe('services are selected', () => {
  const service = (operator: string, version: number, start: number, end = Infinity): Service => ({
    url: `https://${operator}-${version}-${start}.example`,
    version,
    operator,
    start: NOW + start,
    end: NOW + end,
  });
  const urls = (...args: Parameters<typeof selectServices>) => selectServices(...args).map(({ url }) => url);

  it('of the highest version known, the newest of each operator', () => {
    const all = [
      service('a', 1, -9),
      service('a', 2, -5),
      service('a', 2, -3),
      service('b', 2, -4),
      service('c', 3, -1),
    ];
    expect(urls('Rekor', all, [1, 2], { kind: 'ALL' }, NOW)).toEqual([
      'https://a-2--3.example',
      'https://b-2--4.example',
    ]);
    expect(urls('Rekor', all, [1], { kind: 'ALL' }, NOW)).toEqual(['https://a-1--9.example']);
    expect(urls('Rekor', all, [1, 2], { kind: 'ANY' }, NOW)).toHaveLength(1);
    expect(urls('Rekor', all, [1, 2], { kind: 'EXACT', count: 2 }, NOW)).toHaveLength(2);
  });

  it('within their time', () => {
    const all = [service('a', 1, 1), service('b', 1, -9, -1), service('c', 1, -9, 0)];
    expect(urls('Fulcio', all, [1], { kind: 'ALL' }, NOW)).toEqual(['https://c-1--9.example']);
  });

  it('or refused where there are too few, or one operator under two names of URLs', () => {
    const one = [service('a', 1, -9), service('a', 1, -8)];
    const refused = expect.objectContaining({ code: 'SERVICE_NONE' }) as Error;
    expect(() => selectServices('Rekor', one, [1], { kind: 'EXACT', count: 2 }, NOW)).toThrow(refused);
    for (const kind of ['ALL', 'ANY'] as const) {
      expect(() => selectServices('Rekor', [], [1], { kind }, NOW)).toThrow(refused);
    }
  });
});
