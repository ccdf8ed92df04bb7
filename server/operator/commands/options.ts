import { InvalidArgumentError } from 'commander';

/** Reader of a whole number ≥ 0 for commander. */
export function wholeNumber(option: string): (text: string) => number {
  return (text) => {
    if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError(`${option} takes a whole number.`);
    return Number(text);
  };
}

/** Reader of a number ≥ 0. */
export function decimal(option: string): (text: string) => number {
  return (text) => {
    if (!/^\d{1,9}(\.\d{1,9})?$/.test(text)) throw new InvalidArgumentError(`${option} takes a number.`);
    return Number(text);
  };
}

/** Collects the values of an option that may be given more than once. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

/** `12` is a number of chargers, `5%` a share of the fleet. */
export function size(text: string): { count: number } | { share: number } {
  if (/^\d{1,9}$/.test(text)) return { count: Number(text) };
  if (/^\d{1,3}(\.\d{1,6})?%$/.test(text)) return { share: Number(text.slice(0, -1)) / 100 };
  throw new InvalidArgumentError('A size is a number of chargers (12) or a share (5%).');
}

/** `12,30%` */
export function sizes(text: string): ReturnType<typeof size>[] {
  return text.split(',').map((part) => size(part.trim()));
}
