import { compileCel } from './cel.ts';
import { isObject, memberSchema, type StructuralSchema } from './schema.ts';

const readDuration = compileCel('duration(text)');

/**
 * A JSON value as CEL sees it: integers are BigInts, members whose names CEL could not write are escaped
 * (`__dot__`, `__dash__`, `__slash__`, and `__x__` for reserved words).
 */
export function toCel(value: unknown, schema?: StructuralSchema): unknown {
  if (typeof value === 'number') return Number.isInteger(value) && schema?.type !== 'number' ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((item) => toCel(item, schema?.items));
  if (typeof value === 'string') return celText(value, schema);
  if (!isObject(value)) return value;
  const isMap = schema?.additionalProperties !== undefined && schema.properties === undefined;
  const entries = Object.entries(value).map(([name, member]): [string, unknown] => {
    const own = schema ? memberSchema(schema, name) : undefined;
    return [isMap ? name : escaped(name), toCel(member, own === true ? undefined : own)];
  });
  return Object.fromEntries(entries);
}

/** A JSON value of which no schema is known: its names are what they are. */
export function toDynamicCel(value: unknown): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(toDynamicCel);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, toDynamicCel(member)]));
}

function celText(text: string, schema: StructuralSchema | undefined): unknown {
  switch (schema?.format) {
    case 'date-time':
    case 'date': {
      const date = new Date(text);
      return Number.isNaN(date.getTime()) ? text : date;
    }
    case 'duration':
      return durationOf(text);
    case 'byte':
      return Buffer.from(text, 'base64');
    default:
      return text;
  }
}

/** A text that is no duration breaks its schema; rules are not to fail beside that. */
function durationOf(text: string): unknown {
  try {
    return readDuration({ text });
  } catch {
    return text;
  }
}

const reserved = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** A name as expressions write it. */
export function escaped(name: string): string {
  if (reserved.has(name)) return `__${name}__`;
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
}
