/** The agent: check in, take a directive, verify, install, prove health, report. */
export { clockFrom, fleetClock, systemClock } from './clock.ts';
export type { HealthMaterial, Host } from './host.ts';
export { parseProvisioning, readProvisioning } from './provisioning.ts';
export type { HostCommands, InstallerConfig, Provisioning } from './provisioning.ts';
export type { StreamedAnswer, Transport } from './transport.ts';
