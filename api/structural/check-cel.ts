import { bad } from '../field-error.ts';
import type { FieldError } from '../kind.ts';
import { celError, compileCel } from './cel.ts';

/** Whether the expression can be read at all. */
export function checkCel(expression: string, field: string): FieldError[] {
  try {
    compileCel(expression);
    return [];
  } catch (error) {
    return [bad(field, expression, `compilation failed: ERROR: ${celError(error)}`)];
  }
}
