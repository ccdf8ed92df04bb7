/** `rauc.json`: what RAUC itself does not keep of its slots. Read field by field: one that is altered by half counts as none. */
import { SHA256, VERSION } from '../protocol/index.ts';
import type { RunningImage } from '../protocol/index.ts';
import { integer, nullable, object, parseJson, recordOf, text } from '../trust/shape.ts';

export interface RaucRecord {
  format: 1;
  /** Slot that was activated and not committed yet. */
  trial: string | null;
  /** By slot; good as long as RAUC's checksum of the slot is still `checksum`. */
  slots: Record<string, { image: RunningImage; checksum: string }>;
}

const NOTHING: RaucRecord = { format: 1, trial: null, slots: {} };
const MAX_BYTES = 64 * 1024;
const SLOT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const image = object({
  sha256: nullable(text(64, SHA256)),
  version: text(128, VERSION),
  securityVersion: integer(0),
});
const record = object({
  format: integer(1, 1),
  trial: nullable(text(64, SLOT)),
  slots: recordOf(SLOT, object({ image, checksum: text(256) }), 16),
});

export function parseRaucRecord(bytes: Uint8Array | undefined): RaucRecord {
  if (!bytes) return NOTHING;
  try {
    const { trial, slots } = record(parseJson(bytes, MAX_BYTES), '');
    return { format: 1, trial, slots: { ...slots } };
  } catch {
    return NOTHING;
  }
}
