/** The service as a library: `startService(await loadConfig(process.env, process.cwd()))`. */
export * from './start/index.ts';
