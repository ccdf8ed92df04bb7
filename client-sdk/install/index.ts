/** Installing: the port and the adapter that needs no other software. RAUC is an entry point of its own, `install/rauc`. */
export type { Installer, InstallerStatus, Intake, SlotStatus, VerifiedImage } from './installer.ts';
export { bootSelect, provisionSlots, slotFiles } from './slot-files.ts';
