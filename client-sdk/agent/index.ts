/** The agent: check in, take a directive, verify, install, prove health, report. */
export { Agent } from './agent.ts';
export type { Pass } from './pass.ts';
export { clockFrom, fleetClock, systemClock } from './clock.ts';
export type { AgentDeps, AgentNews, Identity } from './context.ts';
export { enrol, readIdentity } from './enrol.ts';
export type { ClientIdentity, Enrolment } from './enrol.ts';
export { httpsTransport } from './https.ts';
export type { HttpsOptions, HttpsTransport } from './https.ts';
export type { HealthMaterial, Host } from './host.ts';
export { verifyOffline } from './offline.ts';
export type { OfflineVerdict, TrustAge } from './offline.ts';
export { parseProvisioning } from './provisioning.ts';
export type { HostCommands, InstallerConfig, Provisioning } from './provisioning.ts';
export type { AgentEvent, AgentState, Job, Phase } from './state.ts';
export { step } from './state.ts';
export { ServiceRefusal } from './transport.ts';
export type { StreamedAnswer, Transport } from './transport.ts';
