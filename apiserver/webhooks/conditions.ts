import { celError, compileCel, type CelProgram } from '../../api/structural/cel.ts';
import { toDynamicCel } from '../../api/structural/cel-values.ts';
import type { MatchCondition } from '../../api/webhook.ts';
import type { ReviewRequest } from './review.ts';

const programs = new Map<string, CelProgram>();

/** Compiled once; throws with CEL's words when the expression cannot be read. */
export function celOf(expression: string): CelProgram {
  let known = programs.get(expression);
  if (!known) {
    if (programs.size > 10_000) programs.clear();
    programs.set(expression, (known = compileCel(expression)));
  }
  return known;
}

/** The variables of match conditions and policies: `object`, `oldObject`, `request`. */
export const celVariables = (request: ReviewRequest): Record<string, unknown> => ({
  object: toDynamicCel(request.object),
  oldObject: toDynamicCel(request.oldObject),
  request: toDynamicCel({ ...request, object: undefined, oldObject: undefined }),
});

/** False when one condition says no; an error only when none says no. */
export function conditionsHold(
  conditions: readonly MatchCondition[] | undefined,
  variables: Record<string, unknown>,
): boolean {
  let failure: Error | undefined;
  for (const { name, expression } of conditions ?? [])
    try {
      if (celOf(expression)(variables) !== true) return false;
    } catch (error) {
      failure ??= new Error(`match condition "${name}": ${celError(error)}`, { cause: error });
    }
  if (failure) throw failure;
  return true;
}
