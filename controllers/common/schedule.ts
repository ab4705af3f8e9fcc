import { Cron } from 'croner';
import { checkSchedule } from '../../api/cron.ts';

/** When something is due: the first time after a given one, in milliseconds; undefined if never. */
export type Schedule = (after: number) => number | undefined;

const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, ns: 1e-6 };

/**
 * Reads five cron fields, a word such as `@daily`, or `@every 90m`; `TZ=…` before it counts, then `timeZone`, then the
 * zone of this process. Times that a change to summer time skips are not made up for. Throws an Error that says what is wrong.
 */
export function parseSchedule(text: string, timeZone?: string): Schedule {
  const [problem] = checkSchedule(text);
  if (problem) throw new Error(problem);
  const [, inText, rest = text] = /^(?:CRON_)?TZ=(\S*)\s*(.*)$/s.exec(text) ?? [];
  const schedule = rest.trim();
  if (schedule.startsWith('@every ')) return every(schedule.slice('@every '.length));
  const zone = timeZone ?? inText;
  const cron = new Cron(schedule.replaceAll('?', '*'), { paused: true, ...(zone ? { timezone: zone } : {}) });
  return (after) => {
    let next = cron.nextRun(new Date(after));
    while (next && !cron.match(next)) next = cron.nextRun(next);
    return next?.getTime();
  };
}

function every(text: string): Schedule {
  const parts = [...text.matchAll(/([\d.]+)(ns|us|ms|s|m|h)/g)];
  const ms = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * units[unit!]!, 0);
  const step = Math.max(1000, Math.floor(ms / 1000) * 1000);
  return (after) => Math.floor(after / 1000) * 1000 + step;
}

/** Milliseconds to look back, until something is found: who was away for a year need not count its minutes. */
const windows = [60_000, 3_600_000, 86_400_000, 31 * 86_400_000, 366 * 86_400_000, Infinity];

/** The last time that was due after `from` and not after `now`; undefined if there is none. */
export function lastDue(schedule: Schedule, from: number, now: number): number | undefined {
  for (const window of windows) {
    let found: number | undefined;
    const start = Math.max(from, now - window);
    for (let at = schedule(start); at !== undefined && at <= now; at = schedule(at)) found = at;
    if (found !== undefined || start === from) return found;
  }
  return undefined;
}
