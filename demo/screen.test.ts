import * as fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { plain } from './screen-plain.ts';
import { drawBar, terminal, wrapped } from './screen-terminal.ts';
import type { Bar } from './screen.ts';
import { FakeTerminal } from './testing/fake-terminal.ts';

const bar = (change: Partial<Bar> = {}): Bar => ({
  label: 'canary',
  share: 0.5,
  state: 'open',
  note: '6/12 healthy',
  ...change,
});

/** Each draw counts, although the clock of a test hardly moves. */
beforeEach(() => {
  let now = 0;
  vi.spyOn(Date, 'now').mockImplementation(() => (now += 1000));
});

describe('off a terminal', () => {
  const lines: string[] = [];
  const screen = plain({ write: (text: string) => lines.push(text) > 0 });
  beforeEach(() => void lines.splice(0));

  test('a bar is a line at each quarter, however often it is drawn', () => {
    for (let i = 0; i <= 1000; i++) screen.bars([bar({ share: i / 1000, note: `${i} of 1000` })]);
    screen.end();
    expect(lines).toHaveLength(5);
  });

  test('a state that changes is told, and what was said last', () => {
    screen.bars([bar({ share: 0 })]);
    screen.bars([bar({ share: 0, state: 'failed', note: '12 rolling back' })]);
    screen.bars([bar({ share: 0.1, state: 'failed', note: '11 rolling back' })]);
    screen.end();
    expect(lines).toHaveLength(3);
    expect(lines.at(-1)).toContain('11 rolling back');
  });
});

describe('on a terminal', () => {
  test.each([
    [80, 24],
    [120, 40],
    [40, 10],
    [40, 5],
  ])('of %i × %i bars are drawn in place', (columns, rows) => {
    const tty = new FakeTerminal(columns, rows);
    const screen = terminal(tty);
    screen.say('above');
    for (let i = 0; i < 20; i++) screen.bars([bar({ note: `round ${i}` }), bar({ label: 'wave 1' })]);
    expect(tty.count('above')).toBe(1);
    expect(tty.count('canary')).toBe(1);
    screen.say('below');
    expect(tty.count('canary')).toBe(1);
    screen.end();
    expect(tty.lines()).toEqual(['above', 'below']);
  });

  test('no line of the region is as wide as the screen, whatever it says', () => {
    const text = fc.string({ unit: 'grapheme-ascii', maxLength: 200 });
    fc.assert(
      fc.property(
        text,
        text,
        fc.double(),
        fc.integer({ min: 1, max: 300 }),
        (label, note, share, columns) => {
          expect(drawBar(bar({ label, note, share }), columns).length).toBeLessThan(Math.max(columns, 1));
        },
      ),
      { seed: 1 },
    );
  });

  test('the longest notes of the demo fit 80 columns', () => {
    const notes = ['20 of 20 h, 200 of 200 charger-hours', '0/12 healthy  7 rolling back  5 rolled back'];
    for (const note of notes) {
      expect(drawBar(bar({ label: 'hold-back', state: 'soaking', note }), 80)).toContain(note);
    }
  });

  test.each([true, false])('it is painted anew when the size changes (lines break anew: %s)', (reflows) => {
    const tty = new FakeTerminal(120, 40, reflows);
    const screen = terminal(tty);
    screen.say(`a sentence of ${'many words '.repeat(15)}`.trim());
    screen.command(`/a/path/${'x'.repeat(100)}`);
    const draw = (): void => screen.bars(['canary', 'wave 1', 'wave 2'].map((label) => bar({ label })));
    draw();
    for (const [columns, rows] of [
      [80, 24],
      [50, 12],
      [30, 5],
      [120, 40],
    ] as const) {
      tty.resize(columns, rows);
      draw();
      for (const label of ['canary', 'wave 1', 'wave 2']) expect(tty.count(label)).toBe(1);
    }
    expect(tty.count('a sentence')).toBe(1);
    expect(tty.count('/a/path/')).toBe(1);
  });

  test('a sentence is broken between words, and loses none', () => {
    const sentence = fc.array(fc.stringMatching(/^[a-z.,:]{1,12}$/), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(sentence, fc.integer({ min: 20, max: 120 }), (words, columns) => {
        const lines = wrapped(`  ${words.join(' ')}`, columns);
        for (const line of lines) expect(line.length).toBeLessThan(columns);
        expect(lines.map((line) => line.trim()).join(' ')).toBe(words.join(' '));
      }),
      { seed: 1 },
    );
  });
});
