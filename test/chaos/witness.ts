/** Writes down what a charger told the service and what the service answered, and what the charger installed. */
import type { Installer } from '@tidegate/client-sdk/install';
import type { Transport } from '@tidegate/client-sdk/agent';
import { type HealthReport, Refusal } from '@tidegate/client-sdk/protocol';

/** The network loses every so many answers to check-ins that carry reports. */
const LOST_EVERY = 4;

export class Witness {
  readonly serial: string;
  /** Every report that was sent, by sequence, as it was sent first. */
  readonly reports = new Map<number, HealthReport>();
  /** Highest report that the service has acknowledged. */
  acknowledged = 0;
  /** Digests in the order in which they were installed. */
  readonly installed: string[] = [];
  /** Reports that came again with another content: the charger's own fault. */
  readonly changed: number[] = [];

  #answers = 0;

  constructor(serial: string) {
    this.serial = serial;
  }

  over(transport: Transport): Transport {
    return {
      ...transport,
      checkIn: async (body, signal) => {
        for (const report of body.reports) this.#note(report);
        const answer = await transport.checkIn(body, signal);
        // Committed, and the charger does not know: what a kill leaves in the moment between the commit and the answer.
        if (body.reports.length > 0 && ++this.#answers % LOST_EVERY === 0) {
          throw new Refusal('SERVICE_UNREACHABLE', 'The answer was lost.');
        }
        this.acknowledged = Math.max(this.acknowledged, answer.acknowledged);
        return answer;
      },
    };
  }

  beside(installer: Installer): Installer {
    return new Proxy(installer, {
      get: (target, name: keyof Installer) => {
        const value: unknown = target[name];
        if (typeof value !== 'function') return value;
        if (name !== 'install') return value.bind(target) as unknown;
        return async (image: Parameters<Installer['install']>[0]) => {
          this.installed.push(image.sha256);
          await target.install(image);
        };
      },
    });
  }

  #note(report: HealthReport): void {
    const before = this.reports.get(report.sequence);
    if (before === undefined) this.reports.set(report.sequence, structuredClone(report));
    else if (JSON.stringify(before) !== JSON.stringify(report)) this.changed.push(report.sequence);
  }
}
