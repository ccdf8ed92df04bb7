/** Rows under a header, columns as wide as they need to be. */
export function table(header: string[], rows: (string | number)[][]): string[] {
  const all = [header, ...rows.map((row) => row.map(String))];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** `12.3 MB`. */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  const power = Math.min(units.length - 1, n < 1 ? 0 : Math.floor(Math.log10(n) / 3));
  return `${(n / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** A bar of a fixed width: `█████░░░░░`. */
export function bar(share: number, width = 24): string {
  const full = Math.round(Math.max(0, Math.min(1, share)) * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}

/** Minutes suffice for people; the day is there because fleets live in many time zones. */
export function when(time: string | null): string {
  return time === null ? '–' : `${time.slice(0, 16).replace('T', ' ')}Z`;
}

export function short(sha256: string | null): string {
  return sha256 === null ? 'unknown' : sha256.slice(0, 12);
}
