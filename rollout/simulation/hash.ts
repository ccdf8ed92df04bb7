/** Counter-based randomness: the same words give the same number, in any order of asking. Not for secrets. */

/** 32-bit FNV-1a of a text: the key of one stream. */
export function streamKey(...words: string[]): number {
  let hash = 0x811c9dc5;
  for (const char of words.join('\u0000')) {
    hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  }
  return mix(hash);
}

/** A number in [0, 1) for place `index` of a stream; `index` is a whole number from 0 to 2³² − 1, e.g. minutes since the epoch. */
export function uniform(key: number, index: number): number {
  return mix(key ^ Math.imul(index, 0x9e3779b1)) / 0x1_0000_0000;
}

/** Finaliser of MurmurHash3 with constants of lower bias (Wellons, "lowbias32"). */
function mix(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/** Gamma with mean 1 and the given shape, from one stream. Marsaglia and Tsang, 2000. */
export function gamma(key: number, shape: number): number {
  let next = 0;
  const draw = () => Math.max(Number.EPSILON, uniform(key, next++));
  // Below 1 the method needs a boost: Gamma(a) = Gamma(a + 1) · U^(1/a).
  const boosted = shape < 1 ? shape + 1 : shape;
  const boost = shape < 1 ? draw() ** (1 / shape) : 1;
  const d = boosted - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const normal = Math.sqrt(-2 * Math.log(draw())) * Math.cos(2 * Math.PI * draw());
    const v = (1 + c * normal) ** 3;
    if (v > 0 && Math.log(draw()) < normal ** 2 / 2 + d - d * v + d * Math.log(v)) {
      return (d * v * boost) / shape;
    }
  }
}
