/**
 * The floors of the house: an import only ever goes down, there are no circles, and pure rooms import nothing that does I/O.
 * Run as a command it checks this checkout; `test/architecture` plants violations and expects each to be found.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser';

/** Lowest first. A file belongs to the first floor whose pattern matches; rooms of one floor do not import each other. */
const FLOORS = [
  { name: 'protocol', rooms: ['^client-sdk/protocol/'] },
  { name: 'client-sdk', rooms: ['^client-sdk/(?!protocol/)'] },
  { name: 'signer and rollout', rooms: ['^signer/', '^rollout/'] },
  { name: 'server', rooms: ['^server/'] },
  { name: 'programs', rooms: ['^(tidegate|tidegate-charger)\\.ts$', '^demo/'] },
];

/** Tests and what only tests use may look at everything. */
const TESTS = '(\\.test\\.ts$|/testing/|^test/)';

function floorRules(): IForbiddenRuleType[] {
  return FLOORS.flatMap((floor, index) =>
    floor.rooms.map((room) => ({
      name: 'imports-only-go-down',
      severity: 'error' as const,
      from: { path: room, pathNot: TESTS },
      to: {
        path: [
          ...FLOORS.slice(index + 1).flatMap((higher) => higher.rooms),
          ...floor.rooms.filter((other) => other !== room && floor.name !== 'programs'),
          '^test/',
        ],
      },
    })),
  );
}

/** Rooms of rules: hashing is their only use of the machine. */
const PURE = '^(client-sdk/protocol|rollout/core|rollout/health)/';

const RULES: IForbiddenRuleType[] = [
  ...floorRules(),
  { name: 'no-circles', severity: 'error', from: { pathNot: TESTS }, to: { circular: true } },
  {
    name: 'pure-rooms-do-no-io',
    severity: 'error',
    from: { path: PURE, pathNot: TESTS },
    to: { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' },
  },
  {
    name: 'pure-rooms-do-no-io',
    severity: 'error',
    from: { path: PURE, pathNot: TESTS },
    to: { path: 'node_modules/' },
  },
  {
    // What cannot be resolved is not checked against the floors either.
    name: 'everything-resolves',
    severity: 'error',
    from: {},
    to: { couldNotResolve: true },
  },
  {
    // Firmware teams put the core on a charger: its dependencies are the verification libraries and Node itself.
    name: 'charger-core-stays-small',
    severity: 'error',
    from: {
      path: '^client-sdk/',
      pathNot: [TESTS, '^client-sdk/agent/commands/', '^client-sdk/agent/enrol'],
    },
    to: { path: 'node_modules/', pathNot: 'node_modules/(@sigstore|@tufjs)/' },
  },
];

export interface Finding {
  rule: string;
  from: string;
  to: string;
}

/** Reads the imports of every source file below `root`. */
export async function inspect(root: string): Promise<{ modules: number; findings: Finding[] }> {
  const { output } = await cruise(
    ['client-sdk', 'signer', 'rollout', 'server', 'tidegate.ts', 'tidegate-charger.ts', 'demo'],
    {
      baseDir: root,
      // TypeScript 7 has no compiler API for tools, so swc reads the imports; without it, nothing would be read at all.
      parser: 'swc',
      ruleSet: { forbidden: RULES },
      validate: true,
      doNotFollow: { path: 'node_modules' },
      exclude: { path: '\\.test\\.ts$' },
      tsPreCompilationDeps: true,
      enhancedResolveOptions: {
        exportsFields: ['exports'],
        conditionNames: ['import', 'node', 'types', 'default'],
        extensions: ['.ts', '.js', '.cjs', '.mjs', '.json'],
      },
    },
  );
  const { modules, summary } = output as ICruiseResult;
  const own = modules.filter((module) => /^(client-sdk|signer|rollout|server)\//.test(module.source));
  return {
    modules: own.length,
    findings: summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to })),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { modules, findings } = await inspect(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
  for (const { rule, from, to } of findings) process.stdout.write(`${rule}: ${from} → ${to}\n`);
  process.stdout.write(`${modules} modules read, ${findings.length} violations\n`);
  // A tool that reads nothing finds nothing: that is a failure too.
  process.exitCode = findings.length > 0 || modules < 20 ? 1 : 0;
}
