import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_SBOM_BYTES } from '@tidegate/client-sdk/trust';
import { type AttestError, readSbom } from './index.ts';

const read = (document: unknown) => readSbom(Buffer.from(JSON.stringify(document)));
const CYCLONEDX = { bomFormat: 'CycloneDX', specVersion: '1.6', version: 1, components: [] };
const SPDX = { spdxVersion: 'SPDX-2.3', SPDXID: 'SPDXRef-DOCUMENT', name: 'fw', packages: [] };

describe('an SBOM', () => {
  it('is CycloneDX or SPDX, and attested whole', () => {
    expect(read(CYCLONEDX)).toEqual({
      format: 'CycloneDX',
      version: '1.6',
      predicateType: 'https://cyclonedx.org/bom',
      document: CYCLONEDX,
    });
    expect(read(SPDX)).toMatchObject({
      format: 'SPDX',
      version: '2.3',
      predicateType: 'https://spdx.dev/Document',
    });
  });

  it.each([
    ['of a version to come', { ...CYCLONEDX, specVersion: '2.0' }, 'SBOM_VERSION'],
    ['of a version too old', { ...SPDX, spdxVersion: 'SPDX-2.1' }, 'SBOM_VERSION'],
    [
      'of SPDX 3',
      { '@context': 'https://spdx.org/rdf/3.0.1/spdx-context.jsonld', '@graph': [] },
      'SBOM_MALFORMED',
    ],
    ['without a version', { bomFormat: 'CycloneDX' }, 'SBOM_MALFORMED'],
    ['that is a part of a document', { ...SPDX, SPDXID: 'SPDXRef-Package' }, 'SBOM_MALFORMED'],
    ['that is a list', [CYCLONEDX], 'SBOM_MALFORMED'],
    ['that is nothing', null, 'SBOM_MALFORMED'],
  ])('%s is refused', (_, document, code) => {
    expect(() => read(document)).toThrow(expect.objectContaining({ code }) as Error);
  });

  it('is bounded, and UTF-8', () => {
    const code = (bytes: Buffer) => {
      try {
        return readSbom(bytes).format;
      } catch (error) {
        return (error as AttestError).code;
      }
    };
    expect(code(Buffer.alloc(MAX_SBOM_BYTES + 1, 0x20))).toBe('SBOM_TOO_LARGE');
    expect(code(Buffer.from('{"bomFormat":"CycloneDX","specVersion":"1.6","x":"\xff"}', 'latin1'))).toBe(
      'SBOM_MALFORMED',
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(['SBOM_MALFORMED', 'SBOM_VERSION']).toContain(code(Buffer.from(JSON.stringify(value))));
      }),
      { numRuns: 300, seed: 5 },
    );
  });
});
