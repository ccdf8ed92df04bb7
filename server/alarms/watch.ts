import type { Log } from '@tidegate/rollout/shell';
import type { Alarm } from './alarms.ts';

/** Writes into the log what rises and what clears. Call it with all alarms, again and again. */
export function alarmLog(log: Log): (alarms: readonly Alarm[]) => void {
  let raised = new Map<string, Alarm>();
  return (alarms) => {
    const now = new Map(alarms.map((alarm) => [`${alarm.code} ${alarm.subject}`, alarm]));
    for (const [name, alarm] of now) {
      const before = raised.get(name);
      if (before?.severity === alarm.severity) continue;
      const { code, severity, subject, sentence } = alarm;
      const fields = { alarm: code, severity, subject };
      if (severity === 'urgent') log.error(fields, sentence);
      else log.warn(fields, sentence);
    }
    for (const [name, { code, subject }] of raised) {
      if (!now.has(name)) log.info({ alarm: code, subject }, `The alarm is over: ${code}, ${subject}.`);
    }
    raised = now;
  };
}
