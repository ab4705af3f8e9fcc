/** Spans of time as `kubectl get` prints them: `5s`, `3m12s`, `4h`, `2d3h`, `400d`, `3y`. */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return withRest(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return withRest(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (hours < 192) return withRest(days, 'd', hours % 24, 'h');
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  return years < 8 ? withRest(years, 'y', days % 365, 'd') : `${years}y`;
}

const withRest = (n: number, unit: string, rest: number, smaller: string): string =>
  rest === 0 ? `${n}${unit}` : `${n}${unit}${rest}${smaller}`;

/** The AGE of something that began at an API timestamp. */
export const age = (since: string | null | undefined, now: number): string =>
  since ? humanDuration(now - Date.parse(since)) : '<unknown>';
