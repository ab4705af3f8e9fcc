/** Schedules of CronJobs: five fields, or a word such as `@daily`; `TZ=…` may go before. */
const words = new Set(['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly']);

interface Range {
  least: number;
  most: number;
  names?: readonly string[];
}

const months = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');
const days = 'sun mon tue wed thu fri sat'.split(' ');
const fields: readonly Range[] = [
  { least: 0, most: 59 },
  { least: 0, most: 23 },
  { least: 1, most: 31 },
  { least: 1, most: 12, names: ['', ...months] },
  { least: 0, most: 6, names: days },
];

/** What is wrong with a schedule, in the words of the parser that Kubernetes uses; nothing wrong gives an empty list. */
export function checkSchedule(schedule: string): string[] {
  const zone = /^(?:CRON_)?TZ=(\S*)\s*/.exec(schedule);
  if (zone && !isTimeZone(zone[1]!)) return [`provided bad location ${zone[1]}: unknown time zone ${zone[1]}`];
  const text = (zone ? schedule.slice(zone[0].length) : schedule).trim();
  if (text.startsWith('@every '))
    return /^@every (\d+(\.\d+)?(ns|us|ms|s|m|h))+$/.test(text)
      ? []
      : [`failed to parse duration ${text}: time: invalid duration "${text.slice(7)}"`];
  if (text.startsWith('@')) return words.has(text) ? [] : [`unrecognized descriptor: ${text}`];
  const parts = text.split(/\s+/);
  if (parts.length !== fields.length)
    return [`expected exactly ${fields.length} fields, found ${parts.length}: [${parts.join(' ')}]`];
  for (const [i, part] of parts.entries()) {
    const [problem] = part.split(',').flatMap((piece) => checkPiece(piece, fields[i]!));
    if (problem) return [problem];
  }
  return [];
}

/** `5`, `1-4`, `*`, each with a `/step`. */
function checkPiece(piece: string, range: Range): string[] {
  const [span = '', step, ...more] = piece.split('/');
  if (more.length > 0) return [`too many slashes: ${piece}`];
  if (step !== undefined && !/^\d+$/.test(step))
    return [`failed to parse int from ${step}: strconv.Atoi: parsing "${step}": invalid syntax`];
  if (step !== undefined && Number(step) === 0) return [`step of range should be a positive number: ${piece}`];
  if (span === '*' || span === '?') return [];
  const ends = span.split('-');
  if (ends.length > 2) return [`too many hyphens: ${piece}`];
  const values = ends.map((end) => valueOf(end, range));
  const wrong = values.findIndex((value) => value === undefined);
  if (wrong >= 0)
    return [`failed to parse int from ${ends[wrong]}: strconv.Atoi: parsing "${ends[wrong]}": invalid syntax`];
  const [from = 0, to = from] = values as number[];
  if (from < range.least) return [`beginning of range (${from}) below minimum (${range.least}): ${piece}`];
  if (to > range.most) return [`end of range (${to}) above maximum (${range.most}): ${piece}`];
  return from > to ? [`beginning of range (${from}) beyond end of range (${to}): ${piece}`] : [];
}

function valueOf(text: string, { names }: Range): number | undefined {
  if (/^\d+$/.test(text)) return Number(text);
  const at = names?.indexOf(text.toLowerCase()) ?? -1;
  return at >= 0 && text !== '' ? at : undefined;
}

/** A name of the IANA database; `Local` is nobody's. */
export function isTimeZone(name: string): boolean {
  if (name === '' || name.toLowerCase() === 'local') return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return /^[A-Za-z]/.test(name);
  } catch {
    return false;
  }
}
