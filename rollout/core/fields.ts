/**
 * Why a plan is refused.
 * - `MALFORMED`: a field is not of the right type.
 * - `UNKNOWN_FIELD`: a field that no plan has; most often a misspelt one, whose default would surprise.
 * - `OUT_OF_RANGE`: a number outside its bounds, or two that contradict each other.
 * - `CANARY_EMPTY`, `WAVE_EMPTY`: a step without chargers.
 * - `HOLD_BACK_EMPTY`: no control cohort is left.
 * - `OVER_100_PERCENT`: canary and waves together exceed the fleet.
 * - `SOAK_EMPTY`: a soak of next to no time or exposure; see `parsePlan` for the least.
 * - `NAME_TAKEN`: two steps of one name.
 * - `POPULATION_TOO_SMALL`: the selected chargers do not fill the canary and the hold-back.
 */
export type PlanProblemCode =
  | 'MALFORMED'
  | 'UNKNOWN_FIELD'
  | 'OUT_OF_RANGE'
  | 'CANARY_EMPTY'
  | 'WAVE_EMPTY'
  | 'HOLD_BACK_EMPTY'
  | 'OVER_100_PERCENT'
  | 'SOAK_EMPTY'
  | 'NAME_TAKEN'
  | 'POPULATION_TOO_SMALL';

export interface PlanProblem {
  /** RFC 6901 JSON pointer into the plan. */
  pointer: string;
  code: PlanProblemCode;
  /** What is wrong and what to do, for the person who wrote the plan. */
  detail: string;
}

export function problemsOf(
  wrong: boolean,
  pointer: string,
  code: PlanProblemCode,
  detail: string,
): PlanProblem[] {
  return wrong ? [{ pointer, code, detail }] : [];
}

/** Neither control characters nor halves of characters: databases and terminals choke on them. */
const PRINTABLE = /^[^\p{Cc}\p{Cs}]*$/u;

/** Reads the fields of one untrusted object; collects problems instead of stopping at the first. */
export class Fields {
  readonly #value: Record<string, unknown>;
  readonly #pointer: string;
  readonly #problems: PlanProblem[];
  readonly #read = new Set<string>();
  /** Whether the object was there at all. */
  readonly given: boolean;

  constructor(value: unknown, pointer: string, problems: PlanProblem[]) {
    this.#pointer = pointer;
    this.#problems = problems;
    this.given = value !== undefined;
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    this.#value = isObject ? (value as Record<string, unknown>) : {};
    if (this.given && !isObject) this.problem('', 'MALFORMED', 'An object is expected here.');
  }

  problem(name: string, code: PlanProblemCode, detail: string): void {
    const pointer = name === '' ? this.#pointer : this.#at(name);
    this.#problems.push({ pointer, code, detail });
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#value, name) && this.#value[name] !== undefined;
  }

  object(name: string): Fields {
    return new Fields(this.#take(name), this.#at(name), this.#problems);
  }

  list(name: string, fallback: unknown[], max: number): Fields[] {
    const value = this.#take(name) ?? fallback;
    if (!Array.isArray(value) || value.length > max) {
      this.problem(name, 'MALFORMED', `A list of at most ${max} is expected here.`);
      return [];
    }
    return value.map((each, i) => new Fields(each ?? null, `${this.#at(name)}/${i}`, this.#problems));
  }

  number(name: string, fallback: number, min: number, max: number): number {
    const value = this.#take(name) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      this.problem(name, 'MALFORMED', 'A number is expected here.');
      return fallback;
    }
    if (value < min || value > max) {
      this.problem(name, 'OUT_OF_RANGE', `It must lie between ${min} and ${max}.`);
      return fallback;
    }
    return value;
  }

  whole(name: string, fallback: number, min: number, max: number): number {
    const value = this.number(name, fallback, min, max);
    if (Number.isInteger(value)) return value;
    this.problem(name, 'MALFORMED', 'A whole number is expected here.');
    return fallback;
  }

  numbers(name: string, fallback: number[], min: number, max: number, longest: number): number[] {
    const value = this.#take(name) ?? fallback;
    const fits = (each: unknown) => typeof each === 'number' && each >= min && each <= max;
    if (Array.isArray(value) && value.length > 0 && value.length <= longest && value.every(fits)) {
      return value as number[];
    }
    this.problem(name, 'MALFORMED', `1 to ${longest} numbers between ${min} and ${max} are expected here.`);
    return fallback;
  }

  text(name: string, fallback: string, longest: number): string {
    const value = this.#take(name) ?? fallback;
    if (typeof value === 'string' && value.length > 0 && value.length <= longest && PRINTABLE.test(value)) {
      return value;
    }
    this.problem(
      name,
      'MALFORMED',
      `1 to ${longest} characters are expected here, none of them a control character.`,
    );
    return fallback;
  }

  /** A time as RFC 3339 or in milliseconds since the epoch. */
  time(name: string): number | null {
    const value = this.#take(name) ?? null;
    if (value === null) return null;
    const at = typeof value === 'string' ? Date.parse(value) : value;
    if (typeof at === 'number' && Number.isSafeInteger(at) && at >= 0) return at;
    this.problem(name, 'MALFORMED', 'A time is expected here, e.g. "2026-11-23T08:00:00Z".');
    return null;
  }

  /** Refuses whatever was not read. */
  close(): void {
    for (const name of Object.keys(this.#value)) {
      if (!this.#read.has(name)) this.problem(name, 'UNKNOWN_FIELD', 'No plan has this field.');
    }
  }

  #take(name: string): unknown {
    this.#read.add(name);
    return this.has(name) ? this.#value[name] : undefined;
  }

  #at(name: string): string {
    return `${this.#pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  }
}
