/** Where a service will answer, as `init` and a first ceremony are told it. */
import type { CommandContext } from './context.ts';
import { invalidOption, wholeNumber } from './options.ts';

export function servicePort(context: Pick<CommandContext, 'env'>, option: string | undefined): number {
  return wholeNumber('--port', option ?? (context.env['TIDEGATE_PORT'] || '8443'), 1, 65535);
}

/** @throws CommandError `OPTION_INVALID`. */
export function serviceUrl(text: string): string {
  const url = URL.parse(text);
  if (url?.protocol !== 'https:') throw invalidOption('--service-url', text, 'an https URL');
  return url.origin;
}
