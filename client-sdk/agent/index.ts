/**
 * The agent: check in, take a directive, verify, install, prove health, report. What a firmware calls, in this order
 * (docs/examples/charger-firmware.ts does it in 40 lines):
 *
 * 1. `parseProvisioning`: who the charger is and whom it trusts, from the file that was built into its image;
 * 2. `readIdentity`, and where that finds nothing, once, `enrol`: the charger's own key and its certificate;
 * 3. `httpsTransport` with that identity: the line to the service;
 * 4. `new Agent({ … })` with the charger's `Host`, which is yours to write, and an installer of `@tidegate/client-sdk/install`;
 * 5. `agent.run(signal)` for as long as the charger runs, in one process at a time.
 *
 * Points in time are milliseconds since the epoch, or RFC 3339 in UTC where they are text; spans in files and answers are seconds.
 * Whatever is refused is a `Refusal` of `@tidegate/client-sdk/protocol`, with a `code` of its closed set.
 */
export { Agent } from './agent.ts';
export type { Pass } from './pass.ts';
export type { AgentDeps, AgentNews, Identity } from './context.ts';

// What you give it
export type { HealthMaterial, Host } from './host.ts';
export { parseProvisioning } from './provisioning.ts';
export type { HostCommands, InstallerConfig, Provisioning } from './provisioning.ts';
export { clockFrom, fleetClock, systemClock } from './clock.ts';

// Its line to the service
export { enrol, readIdentity } from './enrol.ts';
export type { ClientIdentity, Enrolment } from './enrol.ts';
export { httpsTransport } from './https.ts';
export type { HttpsOptions, HttpsTransport } from './https.ts';
export { imageMirror } from './mirror.ts';
export type { ImageSource, MirrorOptions } from './mirror.ts';
export { ServiceRefusal } from './transport.ts';
export type { StreamedAnswer, Transport } from './transport.ts';

// What it remembers and would say
export { verifyOffline } from './offline.ts';
export type { OfflineVerdict, TrustAge } from './offline.ts';
export type { AgentState, Job, Phase } from './state.ts';
