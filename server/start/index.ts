/** The composition root: configuration, one service, and the command that runs it. */
export { loadConfig, type ServiceConfig } from './config.ts';
export { START_ERRORS, StartError, type StartErrorCode } from './errors.ts';
export { type RunningService, startService } from './service.ts';
export { startCommand } from './command.ts';
