/** What was done, by whom, and why: one hash chain per organisation. */
export { appendAudit } from './append.ts';
export { type AuditFault, type AuditHead, type AuditVerdict, verifyAudit } from './verify.ts';
