/** The sequential detector of design §5, and what it is fed with. Pure. */
export { type Comparison, evaluate, type SignalVerdict, type Verdict } from './evaluate.ts';
export {
  CHARGERS_TO_HALT,
  crossingSignals,
  type DetectorInput,
  type Found,
  judge,
  type Judgement,
  SITES_TO_HALT,
  standsWithoutFirst,
} from './judge.ts';
export { hangingSentence, standingSentence } from './sentence.ts';
export { type Baseline, isRepeat, meanRate, weight } from './weight.ts';
export { enoughExposure } from './exposure.ts';
export { wald } from './wald.ts';
