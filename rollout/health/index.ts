/** The sequential detector of design §5, and what it is fed with. Pure. */
export { evaluate, type SignalVerdict, type Verdict } from './evaluate.ts';
export { sentenceOf } from './sentence.ts';
export { type Baseline, isRepeat, meanRate, weight } from './weight.ts';
export { enoughExposure } from './exposure.ts';
export { wald } from './wald.ts';
