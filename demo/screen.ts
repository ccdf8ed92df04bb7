/** What a person sees of long work: lines that stay, and below them bars for what is under way. */

export interface Bar {
  label: string;
  /** 0 to 1, of what `state` is about. */
  share: number;
  /** One word: what is being done. */
  state: string;
  /** How far, in figures. */
  note: string;
}

export interface Screen {
  /** A line that stays. A terminal breaks it between words. */
  say(line: string): void;
  /** A line to copy: never broken. */
  command(line: string): void;
  /** The region below. */
  bars(bars: readonly Bar[]): void;
  /** What the region said last is done. */
  end(): void;
}
