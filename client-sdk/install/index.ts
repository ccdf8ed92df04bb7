/** Installing: the port and the adapter that needs no other software. RAUC is an entry point of its own, `install/rauc`. */
export type { ImageIntake, Installer, InstallerStatus, SlotStatus, VerifiedImage } from './installer.ts';
