import type { FieldError } from './kind.ts';
import { StatusError, type StatusCause } from './status.ts';

const words: Record<FieldError['type'], string> = {
  Required: 'Required value',
  Invalid: 'Invalid value',
  NotSupported: 'Unsupported value',
  Duplicate: 'Duplicate value',
  Forbidden: 'Forbidden',
  TooLong: 'Too long',
  TooMany: 'Too many',
  NotFound: 'Not found',
  InternalError: 'Internal error',
};

const withoutValue = new Set<FieldError['type']>(['Required', 'Forbidden', 'TooLong', 'InternalError']);

/** Kubernetes' words for one error, without its field: `Invalid value: "x": must be …`. */
export function describe(error: FieldError): string {
  const value = withoutValue.has(error.type) ? '' : `: ${shown(error.value)}`;
  return `${words[error.type]}${value}${error.detail ? `: ${error.detail}` : ''}`;
}

const shown = (value: unknown): string =>
  value === undefined || value === null ? 'null' : typeof value === 'number' ? String(value) : JSON.stringify(value);

const cause = (error: FieldError): StatusCause => ({
  reason: error.type === 'InternalError' ? 'InternalError' : `FieldValue${error.type}`,
  message: describe(error),
  field: error.field,
});

/** The 422 that names every rule an object breaks. */
export function invalid(
  kind: { group: string; kind: string },
  name: string,
  errors: readonly FieldError[],
): StatusError {
  const lines = [...new Set(errors.map((error) => `${error.field}: ${describe(error)}`))];
  const list = lines.length === 1 ? lines[0]! : `[${lines.join(', ')}]`;
  return new StatusError(
    422,
    'Invalid',
    `${kind.group ? `${kind.kind}.${kind.group}` : kind.kind} "${name}" is invalid: ${list}`,
    {
      ...(name ? { name } : {}),
      ...(kind.group ? { group: kind.group } : {}),
      kind: kind.kind,
      causes: errors.map(cause),
    },
  );
}

export const required = (field: string, detail = ''): FieldError => ({ type: 'Required', field, detail });
export const bad = (field: string, value: unknown, detail: string): FieldError => ({
  type: 'Invalid',
  field,
  value,
  detail,
});
export const forbiddenField = (field: string, detail: string): FieldError => ({ type: 'Forbidden', field, detail });
export const duplicate = (field: string, value: unknown): FieldError => ({
  type: 'Duplicate',
  field,
  value,
  detail: '',
});
export const tooLong = (field: string, max: number): FieldError => ({
  type: 'TooLong',
  field,
  detail: `may not be more than ${max} bytes`,
});
export const tooMany = (field: string, count: number, max: number): FieldError => ({
  type: 'TooMany',
  field,
  value: count,
  detail: `must have at most ${max} items`,
});
export const notSupported = (field: string, value: unknown, choices: readonly string[]): FieldError => ({
  type: 'NotSupported',
  field,
  value,
  detail: `supported values: ${[...choices]
    .sort()
    .map((choice) => `"${choice}"`)
    .join(', ')}`,
});
export const immutable = (field: string, value: unknown): FieldError => bad(field, value, 'field is immutable');
