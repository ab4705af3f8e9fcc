import { bad, forbiddenField, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { LabelSelector } from './meta.ts';
import { validateLabels } from './validate-meta.ts';

/** Rules on a label selector that must be there. */
export function validateSelector(selector: LabelSelector | undefined, field: string): FieldError[] {
  if (!selector) return [required(field)];
  const errors = validateLabels(selector.matchLabels, `${field}.matchLabels`);
  for (const [i, { operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const at = `${field}.matchExpressions[${i}]`;
    const takesValues = operator === 'In' || operator === 'NotIn';
    if (!['In', 'NotIn', 'Exists', 'DoesNotExist'].includes(operator))
      errors.push(bad(`${at}.operator`, operator, 'not a valid selector operator'));
    else if (takesValues && values.length === 0)
      errors.push(required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    else if (!takesValues && values.length > 0)
      errors.push(forbiddenField(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
  }
  return errors;
}
