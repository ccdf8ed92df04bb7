import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyError, parsePkcs11Uri } from './index.ts';
import { findKey, findSlot } from './pkcs11-listing.ts';

describe('a pkcs11: URI', () => {
  it('names a token, a key in it, its library and where the PIN is', () => {
    const uri =
      'pkcs11:token=My%20token;serial=00ab;slot-id=3;object=release%3Bkey;id=%01%AB;type=private' +
      '?module-path=/usr/lib/x.so&pin-source=file:/run/pin';
    expect(parsePkcs11Uri(uri)).toEqual({
      token: { label: 'My token', serial: '00ab', slotId: 3 },
      object: 'release;key',
      id: '01ab',
      module: '/usr/lib/x.so',
      pinFile: '/run/pin',
    });
    expect(parsePkcs11Uri('pkcs11:id=a%2Db?pin-source=file:///run/pin')).toEqual({
      token: {},
      id: '612d62',
      pinFile: '/run/pin',
    });
  });

  it.each([
    ['another scheme', 'pkcs12:object=a'],
    ['no key', 'pkcs11:token=a'],
    ['an unknown attribute, which might tell two keys apart', 'pkcs11:object=a;library-version=3'],
    ['an unknown attribute in the query', 'pkcs11:object=a?module-name=x'],
    ['an attribute twice', 'pkcs11:object=a;object=b'],
    ['a public key', 'pkcs11:object=a;type=public'],
    ['a PIN, which everybody could read', 'pkcs11:object=a?pin-value=1234'],
    ['a PIN from a command', 'pkcs11:object=a?pin-source=%7C/bin/pin'],
    ['a library that depends on where one stands', 'pkcs11:object=a?module-path=lib.so'],
    ['broken percent-encoding', 'pkcs11:object=%zz'],
    ['an id that is not encoded', 'pkcs11:id=%0'],
    ['a control character', 'pkcs11:object=a%0Ab'],
    ['two queries', 'pkcs11:object=a?module-path=/a?module-path=/b'],
    ['no name', 'pkcs11:=a;object=b'],
    ['an empty label', 'pkcs11:token=;object=b'],
  ])('is refused with %s', (_, uri) => {
    expect(() => parsePkcs11Uri(uri)).toThrow(expect.objectContaining({ code: 'KEY_REFERENCE' }) as Error);
  });

  it('is read or refused with its code, whatever it is', () => {
    const part = fc.oneof(
      fc.string(),
      fc.constantFrom('token=', 'object=', 'id=', '%41', '%', ';', '?', '&', 'slot-id='),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        try {
          const { object, id } = parsePkcs11Uri(`pkcs11:${parts.join('')}`);
          expect(object ?? id).toBeDefined();
        } catch (error) {
          expect(error).toBeInstanceOf(KeyError);
          expect((error as KeyError).code).toBe('KEY_REFERENCE');
        }
      }),
      { numRuns: 2000, seed: 11 },
    );
  });
});

it('a slot is found only where its token fits, and uninitialised slots do not count', () => {
  const listing = `Available slots:
Slot 0 (0x27691104): SoftHSM slot ID 0x27691104
  token label        : a: b
  token manufacturer : SoftHSM project
  serial num         : 0f79
Slot 1 (0x1): SoftHSM slot ID 0x1
  token state:   uninitialized
`;
  expect(findSlot(listing, { label: 'a: b', serial: '0f79', slotId: 0x27691104 })).toBe('0x27691104');
  expect(() => findSlot(listing, { slotId: 1 })).toThrow(KeyError);
  expect(() => findSlot('', {})).toThrow(KeyError);
});

it('a key is found by label and id together, and only a private one', () => {
  const listing = `Private Key Object; EC
  label:      release
  ID:         01
  Usage:      sign
Private Key Object; EC
  label:      release
  ID:         02
Public Key Object; EC  EC_POINT 256 bits
  label:      other
  ID:         03
Private Key Object; EC
  label:      nameless
`;
  expect(findKey(listing, { object: 'release', id: '02' })).toBe('02');
  expect(findKey(listing, { id: '01' })).toBe('01');
  const code = (wanted: { object: string }) => () => findKey(listing, wanted);
  expect(code({ object: 'release' })).toThrow(expect.objectContaining({ code: 'TOKEN_AMBIGUOUS' }) as Error);
  for (const object of ['other', 'nameless', 'none']) {
    expect(code({ object })).toThrow(expect.objectContaining({ code: 'TOKEN_KEY_MISSING' }) as Error);
  }
});
