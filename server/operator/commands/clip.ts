/** Text that fits a terminal's line, by the columns that it takes there. */

/** Control sequences of ECMA-48: colours and the like take no column. */
// oxlint-disable-next-line no-control-regex
const CONTROL = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/y;
/** East Asian Wide and Fullwidth of UAX #11, as blocks; emoji are told by their own property. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u;
/** What stands on another character, or nowhere. */
const NO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]+$/u;
const RESET = '\u001b[0m';

const characters = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Columns that the text takes. */
export function columnsOf(text: string): number {
  return piecesOf(text).reduce((sum, { columns }) => sum + columns, 0);
}

/** The text, or as much of it as fits with an `…` at its end. Colours that were begun are ended. */
export function clip(text: string, columns: number): string {
  const pieces = piecesOf(text);
  if (pieces.reduce((sum, piece) => sum + piece.columns, 0) <= columns) return text;
  let kept = '';
  let taken = 0;
  for (const piece of pieces) {
    if (taken + piece.columns > columns - 1) break;
    taken += piece.columns;
    kept += piece.text;
  }
  return `${kept}${columns > 0 ? '…' : ''}${kept.includes('\u001b[') ? RESET : ''}`;
}

function piecesOf(text: string): { text: string; columns: number }[] {
  const pieces: { text: string; columns: number }[] = [];
  let plain = 0;
  for (let at = text.indexOf('\u001b'); at >= 0; at = text.indexOf('\u001b', at)) {
    CONTROL.lastIndex = at;
    const control = CONTROL.exec(text)?.[0] ?? '\u001b';
    pieces.push(...visible(text.slice(plain, at)), { text: control, columns: 0 });
    at += control.length;
    plain = at;
  }
  return [...pieces, ...visible(text.slice(plain))];
}

function visible(text: string): { text: string; columns: number }[] {
  return Array.from(characters.segment(text), ({ segment }) => ({
    text: segment,
    columns: widthOf(segment),
  }));
}

function widthOf(character: string): number {
  if (NO_WIDTH.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}
