export * from './names.ts';
export * from './release.ts';
export * from './policy.ts';
export * from './directive.ts';
export * from './signals.ts';
export * from './device-api.ts';
export * from './refusal.ts';
export * from './clock.ts';
