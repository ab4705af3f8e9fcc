import type { Probe } from '../../api/kinds/pod.ts';

export type Result = 'success' | 'failure';

/** What a probe has said so far: the result that counts, and how often its last answer came in a row. */
export interface Tally {
  result: Result | undefined;
  last: Result | undefined;
  run: number;
}

/** One more answer: the result turns only when as many came in a row as its threshold asks for. */
export function tallied(
  tally: Tally,
  answer: Result,
  { failureThreshold = 3, successThreshold = 1 }: Pick<Probe, 'failureThreshold' | 'successThreshold'>,
): Tally {
  const run = answer === tally.last ? tally.run + 1 : 1;
  const enough = run >= (answer === 'failure' ? failureThreshold : successThreshold);
  return { result: enough ? answer : tally.result, last: answer, run };
}
