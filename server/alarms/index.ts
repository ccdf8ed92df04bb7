/**
 * What expires, and what people have to do before it does: facts from database, store and certificates; rules that make alarms of them; and the
 * same facts for the rollouts, whose steps do not open over what expires.
 */
export { type Alarm, type AlarmCode, alarmsOf, type Facts, type Now, type Severity } from './alarms.ts';
export { certificateFacts } from './certificates.ts';
export { factsOf, type FactsDeps, rolloutLifetimes } from './facts.ts';
export { alarmLog } from './watch.ts';
