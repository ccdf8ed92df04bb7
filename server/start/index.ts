/** The composition root: configuration and one service. The command that runs it is an entry point of its own, `start/command`. */
export { loadConfig, type ServiceConfig } from './config.ts';
export { START_ERRORS, StartError, type StartErrorCode } from './errors.ts';
export { type RunningService, startService } from './service.ts';
