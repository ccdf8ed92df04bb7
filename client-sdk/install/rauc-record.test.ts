import { expect, it } from 'vitest';
import { parseRaucRecord } from './rauc-record.ts';

const slot = { image: { sha256: 'a'.repeat(64), version: '1.0.0', securityVersion: 1 }, checksum: 'b' };
const good = { format: 1, trial: 'rootfs.1', slots: { 'rootfs.0': slot } };
const read = (value: unknown) => parseRaucRecord(Buffer.from(JSON.stringify(value)));
const nothing = { format: 1, trial: null, slots: {} };

it('reads what was written', () => {
  expect(read(good)).toEqual(good);
  expect(parseRaucRecord(undefined)).toEqual(nothing);
});

it.each([
  ['no object', null],
  ['another format', { ...good, format: 2 }],
  ['slots that are null', { ...good, slots: null }],
  ['a slot that is null', { ...good, slots: { 'rootfs.0': null } }],
  ['a slot without an image', { ...good, slots: { 'rootfs.0': { checksum: 'b' } } }],
  ['an image without a digest', { ...good, slots: { 'rootfs.0': { ...slot, image: { version: '1.0.0' } } } }],
  ['a trial that is no slot', { ...good, trial: 1 }],
])('takes %s for no record, and does not stop at it', (_what, value) => {
  expect(read(value)).toEqual(nothing);
});

it('takes half a file for none', () => {
  expect(parseRaucRecord(Buffer.from(JSON.stringify(good).slice(0, 40)))).toEqual(nothing);
});
