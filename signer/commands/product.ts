import { resolve } from 'node:path';
import { Command } from 'commander';
import { MAX_SECURITY_VERSION } from '@tidegate/client-sdk/trust';
import { KeyError, peekKeyFile } from '../keys/index.ts';
import { addProduct, type ProductOutcome, type ProductPlan } from './add-product.ts';
import type { CommandContext } from './context.ts';
import { CommandError } from './errors.ts';
import { type Ceremony, type Home, homeOf, personKey, readCeremony } from './home.ts';
import { keyHolders } from './keyring.ts';
import { hardwareIds, invalidOption, peopleList, productId, readSmallFile, wholeNumber } from './options.ts';
import { report, type Result } from './result.ts';

interface AddOptions {
  hardware: string;
  engineers?: string;
  newPerson?: string;
  threshold?: string;
  builderKey?: string;
  securityVersionCap: string;
  emergencyFloor: string;
  json?: boolean;
}

export function productCommand(context: CommandContext): Command {
  const product = new Command('product').description('The products that releases are made for');
  product
    .command('add')
    .argument('<product>', 'e.g. acme.dc150')
    .description('Add a product: who signs its releases, who builds them')
    .requiredOption('--hardware <ids>', 'hardware that the product comes on, e.g. dc150-r2,dc150-r3')
    .option('--engineers <names>', 'who signs its releases (default: those named at init)')
    .option('--new-person <names>', 'engineers whom init did not name: keys are made for them')
    .option('--threshold <number>', 'how many of them must sign (default: 2, or all where there are fewer)')
    .option('--builder-key <pem>', "public key of the build, PEM (default: the ceremony's CI key)")
    .option('--security-version-cap <number>', 'no release above it is accepted', '1000')
    .option('--emergency-floor <number>', 'no release below it is installed', '0')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
Two holders of targets keys sign the delegation and the new policy, with the keys that are on this machine.

Examples:
  $ tidegate product add acme.dc150 --hardware dc150-r2,dc150-r3
  $ tidegate product add acme.ac22 --hardware ac22-r1 --engineers erin,frank,grace --threshold 2
  $ tidegate product add acme.ac11 --hardware ac11-r1 --engineers erin,heidi --new-person heidi
  $ tidegate product add acme.dc150 --hardware dc150-r2 --builder-key ci.pub.pem`,
    )
    .action((name: string, options: AddOptions) =>
      report(context, options, () => add(context, name, options)),
    );
  return product;
}

async function add(context: CommandContext, name: string, options: AddOptions): Promise<Result> {
  const home = homeOf(context);
  const plan = await planOf(context, home, name, options);
  const outcome = await addProduct(context, home, plan);
  return { json: outcome, lines: say(plan, outcome) };
}

async function planOf(
  context: CommandContext,
  home: Home,
  name: string,
  options: AddOptions,
): Promise<ProductPlan> {
  const ceremony = await readCeremony(home);
  const engineers =
    options.engineers === undefined ? ceremony.engineers : peopleList('--engineers', options.engineers);
  await requireKnown(home, ceremony, engineers, options.newPerson);
  const threshold =
    options.threshold === undefined
      ? Math.min(2, engineers.length)
      : wholeNumber('--threshold', options.threshold, 1, engineers.length);
  return {
    product: productId(name, '<product>'),
    hardware: hardwareIds(options.hardware),
    engineers,
    threshold,
    builderKey: await builderKey(context, home, options.builderKey),
    securityVersionCap: wholeNumber(
      '--security-version-cap',
      options.securityVersionCap,
      0,
      MAX_SECURITY_VERSION,
    ),
    emergencyFloor: wholeNumber('--emergency-floor', options.emergencyFloor, 0, MAX_SECURITY_VERSION),
  };
}

/** A misspelt name would get keys, and a share in the threshold that nobody can give. */
async function requireKnown(
  home: Home,
  ceremony: Ceremony,
  engineers: string[],
  newPerson: string | undefined,
): Promise<void> {
  const added = newPerson === undefined ? [] : peopleList('--new-person', newPerson);
  const idle = added.find((name) => !engineers.includes(name));
  if (idle !== undefined) throw invalidOption('--new-person', idle, 'names that --engineers lists');
  const { people, engineers: named, operators } = ceremony;
  const known = new Set([...people, ...named, ...operators, ...(await keyHolders(home)), ...added]);
  const stranger = engineers.find((name) => !known.has(name));
  if (stranger !== undefined) throw new CommandError('PERSON_UNKNOWN', stranger);
}

async function builderKey(context: CommandContext, home: Home, file: string | undefined): Promise<string> {
  if (file === undefined) return (await peekKeyFile(personKey(home, 'ci', 'build'))).publicKey;
  const path = resolve(context.cwd, file);
  const text = (await readSmallFile(path, 16 * 1024)).toString('utf8');
  // A Tidegate key file holds the public half in the clear.
  if (text.trimStart().startsWith('{')) return (await peekKeyFile(path)).publicKey;
  if (text.includes('PRIVATE KEY')) throw new KeyError('KEY_MALFORMED', `${path} is a private key`);
  return text;
}

function say(plan: ProductPlan, outcome: ProductOutcome): string[] {
  const names = outcome.engineers.map(({ name }) => name);
  return [
    `Added ${plan.product} for ${plan.hardware.join(', ')}.`,
    `  releases: ${plan.threshold} of ${names.join(', ')} sign (keys/<name>/${plan.product}.key.json)`,
    `  targets version ${outcome.targetsVersion} and policy version ${outcome.policyVersion}, signed by ${outcome.signedBy.join(' and ')}`,
    outcome.initial
      ? 'The service starts with it: tidegate start'
      : 'Bring it to the running service: tidegate publish',
    `Next: tidegate sign IMAGE --product ${plan.product} --version 1.0.0 --hardware ${plan.hardware.join(',')} --security-version 1`,
  ];
}
