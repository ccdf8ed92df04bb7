/**
 * What a release engineer types.
 *
 * - `signerCommands(context): Command[]`: `init`, `product`, `sign`, `release`. A failed command has written its error and throws
 *   commander's `CommanderError` with its exit code.
 */
export type { CommandContext } from './context.ts';
