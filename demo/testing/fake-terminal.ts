const ESCAPE = '\u001b';

/** As much of a terminal as the demo's screen uses: a grid, a cursor, wrapping, wiping, and a size that changes. */
export class FakeTerminal {
  columns: number;
  rows: number;
  readonly #reflows: boolean;
  /** The visible rows, top first; a row that goes on in the next one says so. */
  #grid: { text: string; wraps: boolean }[] = [{ text: '', wraps: false }];
  #row = 0;
  #resized: (() => void)[] = [];

  /** @param reflows whether it breaks its lines anew when it gets another width, as some do and some do not */
  constructor(columns: number, rows: number, reflows = false) {
    this.columns = columns;
    this.rows = rows;
    this.#reflows = reflows;
  }

  on(_: 'resize', listener: () => void): this {
    this.#resized.push(listener);
    return this;
  }

  write(text: string): boolean {
    const [plain = '', ...rest] = text.split(ESCAPE);
    for (const character of plain) this.#put(character);
    for (const part of rest) {
      const [whole = '', number = '', command = ''] = /^\[(\d*)([A-Z])/.exec(part) ?? [];
      this.#obey(command, number);
      for (const character of part.slice(whole.length)) this.#put(character);
    }
    return true;
  }

  resize(columns: number, rows: number): void {
    if (this.#reflows && columns !== this.columns) this.#breakAnew(columns);
    this.columns = columns;
    this.rows = rows;
    while (this.#grid.length > rows) this.#scroll();
    for (const listener of this.#resized) listener();
  }

  /** What is visible, without empty rows. */
  lines(): string[] {
    return this.#grid.map(({ text }) => text.trimEnd()).filter((text) => text !== '');
  }

  /** How often a word is visible. */
  count(word: string): number {
    return this.lines().join('\n').split(word).length - 1;
  }

  #obey(command: string, number: string): void {
    if (command === 'A') this.#row = Math.max(0, this.#row - Number(number || 1));
    else if (command === 'J') this.#wipe(number === '2' ? 0 : this.#row);
    else if (command === 'H') this.#row = 0;
    else throw new Error(`This terminal does not know ${command}.`);
  }

  #put(character: string): void {
    if (character === '\r') return;
    if (character === '\n') {
      this.#nextRow(false);
      return;
    }
    if ((this.#grid[this.#row]?.text.length ?? 0) >= this.columns) this.#nextRow(true);
    const row = this.#grid[this.#row];
    if (row) row.text += character;
  }

  #nextRow(wraps: boolean): void {
    const row = this.#grid[this.#row];
    if (row) row.wraps = wraps;
    this.#row += 1;
    if (this.#row === this.#grid.length) this.#grid.push({ text: '', wraps: false });
    if (this.#grid.length > this.rows) this.#scroll();
  }

  #scroll(): void {
    this.#grid.shift();
    this.#row = Math.max(0, this.#row - 1);
  }

  #wipe(from: number): void {
    for (const row of this.#grid.slice(from)) Object.assign(row, { text: '', wraps: false });
  }

  #breakAnew(columns: number): void {
    const whole: string[] = [];
    let goesOn = false;
    for (const { text, wraps } of this.#grid) {
      if (goesOn) whole.push(`${whole.pop() ?? ''}${text}`);
      else whole.push(text);
      goesOn = wraps;
    }
    this.#grid = whole.flatMap((line) => {
      const pieces = line.match(new RegExp(`.{1,${columns}}`, 'gu')) ?? [''];
      return pieces.map((text, i) => ({ text, wraps: i < pieces.length - 1 }));
    });
    this.#row = this.#grid.length - 1;
  }
}
