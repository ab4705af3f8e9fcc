/** A count, or a share of `of` (`25%`). */
export function resolveShare(value: number | string | undefined, of: number, round: (n: number) => number): number {
  return typeof value === 'string' ? round((of * Number.parseInt(value, 10)) / 100) : (value ?? 0);
}
