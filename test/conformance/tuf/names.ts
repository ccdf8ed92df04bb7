/** Role names and target paths are any text; in a URL and on a disk they must not mean anything else. */
import { createHash } from 'node:crypto';

/** One segment of a URL: all but letters, digits and `_.-~` in percent code, `/` included. */
export function urlSegment(name: string): string {
  return encodeURIComponent(name).replace(/[!'()*]/g, (char) => `%${hex(char.charCodeAt(0))}`);
}

/** A target path in a URL; its `/` stay. The last segment gets its digest in front, where the repository wants that. TUF 6.2 */
export function targetUrl(path: string, digest: string | undefined): string {
  const segments = path.split('/');
  const file = segments.pop() ?? '';
  return [...segments, digest === undefined ? file : `${digest}.${file}`].map(urlSegment).join('/');
}

/** A file name of its own for each text: plain names stay, every other byte becomes `_XX`, what would be too long ends in its digest. */
export function fileName(name: string): string {
  const plain = [...Buffer.from(name)]
    .map((byte, at) => (isPlain(byte, at) ? String.fromCharCode(byte) : `_${hex(byte)}`))
    .join('');
  if (plain.length <= 200) return plain;
  return `${plain.slice(0, 100)}_long_${createHash('sha256').update(name).digest('hex')}`;
}

function isPlain(byte: number, at: number): boolean {
  return /[A-Za-z0-9-]/.test(String.fromCharCode(byte)) ? at > 0 || byte !== 0x2d : byte === 0x2e && at > 0;
}

function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0');
}
