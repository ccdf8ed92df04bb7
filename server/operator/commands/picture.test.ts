import { expect, test } from 'vitest';
import { columnsOf } from './clip.ts';
import { picture } from './picture.ts';

function screen(columns: number, rows: number) {
  const state = { written: [] as string[], columns, rows, resize: () => undefined as void, listening: 0 };
  const terminal = {
    write: (text: string) => void state.written.push(text),
    size: () => ({ columns: state.columns, rows: state.rows }),
    onResize: (changed: () => void) => {
      state.resize = changed;
      state.listening++;
      return () => void state.listening--;
    },
  };
  return { state, picture: picture(terminal) };
}

const long =
  'hold-back  SOAKING  ████████████░░░░░░░░░░░░  12/12 healthy, 3 under way, 40 of 120 charger-hours';
const linesOf = (text = ''): string[] => text.split('\n').slice(0, -1);

test.each([20, 60, 80, 120])('no line wraps in %i columns', (columns) => {
  const { state, picture: shown } = screen(columns, 24);
  shown.show([long, '充電器 '.repeat(40)]);
  for (const line of linesOf(state.written[0])) expect(columnsOf(line)).toBeLessThan(columns);
});

test('a picture is drawn over the one before, also where it is taller than the terminal', () => {
  const { state, picture: shown } = screen(80, 4);
  shown.show(['a', 'b', 'c', 'd', 'e']);
  shown.show(['f']);
  shown.show(['g']);
  expect(state.written).toEqual(['a\nb\nc\n', '\u001b[3A\r\u001b[0Jf\n', '\u001b[1A\r\u001b[0Jg\n']);
});

test('another size paints the screen again, until the end', () => {
  const { state, picture: shown } = screen(120, 24);
  shown.show([long]);
  state.columns = 40;
  state.resize();
  expect(state.written[1]?.startsWith('\u001b[H\u001b[2J')).toBe(true);
  expect(columnsOf(linesOf(state.written[1])[0] ?? '')).toBeLessThan(40);
  shown.end();
  expect(state.listening).toBe(0);
});

test('a terminal that does not know its size is taken for 80 by 24', () => {
  const { state, picture: shown } = screen(0, Number.NaN);
  shown.show(Array.from({ length: 40 }, () => long));
  expect(linesOf(state.written[0])).toHaveLength(23);
  expect(columnsOf(linesOf(state.written[0])[0] ?? '')).toBe(79);
});
