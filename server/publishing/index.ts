/**
 * Releases in, TUF out. Everything is verified with the charger's own code before a byte of it is stored; the
 * service holds the online keys only.
 *
 * - `bootstrapRepository(deps, initial): Promise<Published>`: first start, from the folder of signed metadata that `tidegate init` made.
 * - `refreshOnline(deps): Promise<boolean>`: signs snapshot and timestamp again from half their life on; true when it did.
 * - `receiveUpload(deps, {sha256, length, body}): Promise<Upload>`: one blob into staging.
 * - `publish(deps, publication, publisher): Promise<Published>`: one publication, whole or not at all.
 * - `publishingRouter(deps): express.Router`: `PUT uploads/:sha256` and `POST publications` of the operator API.
 */
export type { Publication, Published, Publisher, PublishingDeps, UploadLimits } from './types.ts';
