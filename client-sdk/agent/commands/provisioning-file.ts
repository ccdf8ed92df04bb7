/** The provisioning as a file that people write. Apart from the agent, so that its core needs no YAML. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { Refusal } from '../../protocol/index.ts';
import { parseProvisioning } from '../provisioning.ts';
import type { Provisioning } from '../provisioning.ts';

/**
 * Reads `charger.json` or `charger.yaml`. Relative paths in it are relative to the file.
 * @throws Refusal `NOT_PROVISIONED`, naming the field.
 */
export async function readProvisioning(file: string): Promise<Provisioning> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new Refusal('NOT_PROVISIONED', `cannot read ${file}`, { cause: error });
  }
  let value: unknown;
  try {
    // YAML 1.2 holds JSON.
    value = parse(text, { maxAliasCount: 0 });
  } catch (error) {
    throw new Refusal('NOT_PROVISIONED', `${file} is neither JSON nor YAML`, { cause: error });
  }
  return parseProvisioning(value, dirname(resolve(file)));
}
