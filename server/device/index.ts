/** What chargers call: enrolment, check-in, confirmation, TUF files. */
export { deviceRouter } from './router.ts';
export { DEVICE_DEFAULTS, type DeviceConfig, type DeviceDeps } from './deps.ts';
export { markSilent, type SilenceOptions } from './silence.ts';
