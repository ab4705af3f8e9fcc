export interface Figure {
  bench: string;
  case: string;
  /** Median of several runs. */
  value: number;
  unit: string;
  goal?: number;
  /** Less is better. */
  lower?: true;
  /** The bare baseline, measured in the same run, in the same unit. */
  raw?: number;
}

/** One JSON line, with the ratio to the raw baseline. */
export function report({ raw, value, ...rest }: Figure): void {
  const ratio = raw === undefined ? {} : { raw: Math.round(raw), ratio: Number((value / raw).toFixed(3)) };
  process.stdout.write(`${JSON.stringify({ ...rest, value: rounded(value), ...ratio })}\n`);
}

/** Whole numbers, but for small ones a tenth counts. */
function rounded(value: number): number {
  return Math.abs(value) < 50 ? Math.round(value * 10) / 10 : Math.round(value);
}

/** The median of `runs` measurements, one after the other. */
export async function median(runs: number, measure: () => number | Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < runs; i++) values.push(await measure());
  return middle(values);
}

/** The median. */
export const middle = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
