import { celError, compileCel, textIn, type CelProgram } from '../../api/structural/cel.ts';
import { toDynamicCel } from '../../api/structural/cel-values.ts';
import type { MatchCondition } from '../../api/webhook.ts';
import type { AuthorizerChecks } from './authorizer-checks.ts';
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

/** What the expressions about a request see. */
export interface Sight {
  variables: Readonly<Record<string, unknown>>;
  checks: AuthorizerChecks;
}

/** What match conditions and policies may name: `object`, `oldObject`, `request`, `authorizer`. */
export const sightOf = (request: ReviewRequest, checks: AuthorizerChecks): Sight => ({
  checks,
  variables: {
    object: toDynamicCel(request.object),
    oldObject: toDynamicCel(request.oldObject),
    request: toDynamicCel({ ...request, object: undefined, oldObject: undefined }),
    authorizer: checks.variable,
    // Webhooks are not told it.
    namespaceObject: null,
  },
});

/** The value of an expression, once the authorizer has answered what it asks. */
export async function valueOf(expression: string, { variables, checks }: Sight): Promise<unknown> {
  const program = celOf(expression);
  for (;;)
    try {
      return program(variables);
    } catch (error) {
      // What went wrong for want of an answer says nothing; what came out without one holds, since CEL passes errors over
      // only where they do not matter.
      if (!(await checks.settle())) throw error;
    }
}

/** The text that a message expression makes; undefined when it makes none, so that the message that is written is taken. */
export async function textOf(expression: string | undefined, sight: Sight): Promise<string | undefined> {
  if (!expression) return undefined;
  try {
    return textIn(await valueOf(expression, sight));
  } catch {
    // A message that cannot be made must not hide what it was to say.
    return undefined;
  }
}

/** False when one condition says no; an error only when none says no. */
export async function conditionsHold(
  conditions: readonly MatchCondition[] | undefined,
  sight: Sight,
): Promise<boolean> {
  let failure: Error | undefined;
  for (const { name, expression } of conditions ?? [])
    try {
      if ((await valueOf(expression, sight)) !== true) return false;
    } catch (error) {
      failure ??= new Error(`match condition "${name}": ${celError(error)}`, { cause: error });
    }
  if (failure) throw failure;
  return true;
}
