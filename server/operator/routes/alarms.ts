import { z } from 'zod';
import { defineRoute, type Route } from '../route.ts';
import { time } from '../schemas.ts';

const alarm = z.object({
  code: z.string().meta({ description: 'See AlarmCode; with the subject it names the alarm.' }),
  severity: z.enum(['warning', 'urgent']),
  subject: z.string(),
  expires: time.nullable().meta({ description: 'When it stops; null where that is no moment in time.' }),
  sentence: z.string().meta({ description: 'What is the matter, and what to do.' }),
});

export type AlarmView = z.output<typeof alarm>;

export const alarmRoutes: Route[] = [
  defineRoute({
    method: 'get',
    path: '/alarms',
    permission: 'read',
    summary: 'What expires or has stopped, and what to do; the urgent first',
    answer: z.object({ items: z.array(alarm) }),
    handle: async ({ deps, operator }) => {
      const alarms = await deps.alarms(operator.organisation);
      const items = alarms.map((each) => ({
        ...each,
        expires: each.expires === null ? null : new Date(each.expires).toISOString(),
      }));
      return { body: { items } };
    },
  }),
];
