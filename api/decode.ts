import { isQuantity, quantityError, canonicalQuantity } from './quantity.ts';
import { definitionOf, definitions, refOf, type Schema } from './schema.ts';

/**
 * Structural decoding: what Go's JSON decoder does for Kubernetes. One compiled decoder per definition cleans a parsed
 * object in place: nulls and unknown fields go (the latter are reported), wrong types throw.
 */
export type Decoder = (value: unknown, context: DecodeContext) => unknown;

export class DecodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DecodeError';
  }
}

/** Where decoding stands, and what it met that Kubernetes would not know: paths such as `spec.containers[0].foo`. */
export class DecodeContext {
  readonly unknown: string[] = [];
  readonly path: (string | number)[] = [];

  at(field?: string): string {
    let text = '';
    for (const part of field === undefined ? this.path : [...this.path, field])
      text += typeof part === 'number' ? `[${part}]` : text === '' ? part : `.${part}`;
    return text;
  }

  mismatch(value: unknown, field: string, type: string, owner: string): DecodeError {
    const path = [...this.path, field].filter((part) => typeof part === 'string' && part !== '').join('.');
    const where = path === '' ? 'Go value' : `Go struct field ${owner}.${path}`;
    return new DecodeError(`json: cannot unmarshal ${jsonType(value)} into ${where} of type ${type}`);
  }
}

const jsonType = (value: unknown): string => {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'number' : `number ${value}`;
  return typeof value === 'object' ? 'object' : typeof value;
};

/** A field of a struct: returns the cleaned value. */
type Field = (value: unknown, name: string, context: DecodeContext, owner: string) => unknown;

const compiled = new Map<string, Field>();

/** The decoder of a definition such as `io.k8s.api.core.v1.Pod`. An object without its spec gets an empty one, as in Go. */
export function decoderOf(definition: string): Decoder {
  const field = structOf(definition);
  const owner = shortName(definition).split('.').at(-1)!;
  const hasSpec = definitions[definition]?.properties?.['spec']?.default !== undefined;
  return (value, context) => {
    const decoded = field(value, '', context, owner);
    if (hasSpec) (decoded as { spec?: object }).spec ??= {};
    return decoded;
  };
}

/** The decoder of a kind's objects: its own, or that of its schema. */
export function decoderOfKind(kind: {
  group: string;
  version: string;
  kind: string;
  decode?: Decoder;
}): Decoder | undefined {
  if (kind.decode) return kind.decode;
  const definition = definitionOf(kind.group, kind.version, kind.kind);
  return definition === undefined ? undefined : decoderOf(definition);
}

const shortName = (definition: string): string => definition.split('.').slice(-2).join('.');

const special: Record<string, Field> = {
  'io.k8s.apimachinery.pkg.api.resource.Quantity': (value) => {
    if (!isQuantity(value)) throw new DecodeError(quantityProblem(value));
    return canonicalQuantity(value as string | number);
  },
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': (value, name, context, owner) => {
    if (typeof value === 'string' || Number.isInteger(value)) return value;
    throw context.mismatch(value, name, 'int32', owner);
  },
  'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1': (value) => value,
  'io.k8s.apimachinery.pkg.runtime.RawExtension': (value) => value,
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': (value, name, context, owner) =>
    time(value, name, context, owner, false),
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': (value, name, context, owner) =>
    time(value, name, context, owner, true),
};

const quantityProblem = (value: unknown): string =>
  typeof value === 'string' && /^[+-]?[0-9.]+[eEinumkKMGTP]*[-+]?[0-9]*$/.test(value)
    ? "unable to parse quantity's suffix"
    : quantityError;

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const seconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const micros = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

function time(value: unknown, name: string, context: DecodeContext, owner: string, micro: boolean): unknown {
  if (typeof value !== 'string') throw context.mismatch(value, name, 'string', owner);
  if ((micro ? micros : seconds).test(value) && !Number.isNaN(Date.parse(value))) return value;
  const layout = micro ? '2006-01-02T15:04:05.000000Z07:00' : '2006-01-02T15:04:05Z07:00';
  const date = new Date(value);
  if (!rfc3339.test(value) || Number.isNaN(date.getTime()))
    throw new DecodeError(
      `parsing time ${JSON.stringify(value)} as "${layout}": cannot parse ${JSON.stringify(value)} as "2006"`,
    );
  if (!micro) return date.toISOString().replace(/\.\d+Z$/, 'Z');
  const fraction = (/\.(\d+)/.exec(value)?.[1] ?? '').padEnd(6, '0').slice(0, 6);
  return date.toISOString().replace(/\.\d+Z$/, `.${fraction}Z`);
}

function structOf(definition: string): Field {
  const known = compiled.get(definition);
  if (known) return known;
  let target: Field | undefined = undefined as Field | undefined;
  // Definitions may refer to themselves: hand out a door that is filled below.
  compiled.set(definition, (value, name, context, owner) => target!(value, name, context, owner));
  target = special[definition] ?? compile(definitions[definition] ?? {}, shortName(definition));
  compiled.set(definition, target);
  return target;
}

function compile(schema: Schema, type: string): Field {
  const ref = refOf(schema);
  if (ref !== undefined) return structOf(ref);
  if (schema.properties) return struct(schema.properties, type);
  switch (schema.type) {
    case 'array':
      return arrayOf(schema.items ?? {});
    case 'object':
      return schema.additionalProperties ? mapOf(schema.additionalProperties) : anyObject(type);
    case 'string':
      return schema.format === 'byte' ? bytes : text;
    case 'boolean':
      return boolean;
    case 'integer':
      return schema.format === 'int64' ? int64 : int32;
    case 'number':
      return number;
    default:
      return (value) => value;
  }
}

const text: Field = (value, name, context, owner) => {
  if (typeof value !== 'string') throw context.mismatch(value, name, 'string', owner);
  return value;
};
const boolean: Field = (value, name, context, owner) => {
  if (typeof value !== 'boolean') throw context.mismatch(value, name, 'bool', owner);
  return value;
};
const number: Field = (value, name, context, owner) => {
  if (typeof value !== 'number') throw context.mismatch(value, name, 'float64', owner);
  return value;
};
const int64: Field = (value, name, context, owner) => {
  if (!Number.isInteger(value)) throw context.mismatch(value, name, 'int64', owner);
  return value;
};
const int32: Field = (value, name, context, owner) => {
  if (!Number.isInteger(value)) throw context.mismatch(value, name, 'int32', owner);
  if ((value as number) > 2147483647 || (value as number) < -2147483648)
    throw new DecodeError(
      `json: cannot unmarshal number ${value as number} into Go struct field ${owner}.${context.at(name)} of type int32`,
    );
  return value;
};
const bytes: Field = (value, name, context, owner) => {
  if (typeof value !== 'string') throw context.mismatch(value, name, '[]uint8', owner);
  const bad = /[^A-Za-z0-9+/=\r\n]/.exec(value);
  if (bad) throw new DecodeError(`illegal base64 data at input byte ${bad.index}`);
  const trimmed = value.replace(/[\r\n]/g, '');
  if (trimmed.length % 4 !== 0 || /=[^=]|={3,}/.test(trimmed))
    throw new DecodeError(`illegal base64 data at input byte ${Math.max(0, trimmed.length - (trimmed.length % 4))}`);
  return trimmed;
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const anyObject =
  (type: string): Field =>
  (value, name, context, owner) => {
    if (!isRecord(value)) throw context.mismatch(value, name, type, owner);
    return value;
  };

function struct(properties: Record<string, Schema>, type: string): Field {
  const owner = type.split('.').at(-1)!;
  const fields = new Map(
    Object.entries(properties).map(([name, schema]) => [name, compile(schema, goType(schema))] as const),
  );
  return (value, name, context, parent) => {
    if (!isRecord(value)) throw context.mismatch(value, name, type, parent);
    if (name !== '') context.path.push(name);
    for (const key in value) {
      const field = fields.get(key);
      const given = value[key];
      if (field === undefined) {
        context.unknown.push(context.at(key));
        delete value[key];
      } else if (given === null) delete value[key];
      else {
        const clean = field(given, key, context, owner);
        if (clean !== given) value[key] = clean;
      }
    }
    if (name !== '') context.path.pop();
    return value;
  };
}

function arrayOf(items: Schema): Field {
  const item = compile(items, goType(items));
  const type = `[]${goType(items)}`;
  return (value, name, context, owner) => {
    if (!Array.isArray(value)) throw context.mismatch(value, name, type, owner);
    context.path.push(name);
    for (let i = 0; i < value.length; i++) {
      if (value[i] === null) value[i] = zeroOf(items);
      else {
        context.path.push(i);
        value[i] = item(value[i], '', context, owner);
        context.path.pop();
      }
    }
    context.path.pop();
    return value;
  };
}

function mapOf(values: Schema): Field {
  const item = compile(values, goType(values));
  const type = `map[string]${goType(values)}`;
  return (value, name, context, owner) => {
    if (!isRecord(value)) throw context.mismatch(value, name, type, owner);
    for (const key of Object.keys(value)) {
      const given = value[key];
      const clean = given === null ? zeroOf(values) : item(given, name, context, owner);
      if (clean !== given)
        Object.defineProperty(value, key, { value: clean, enumerable: true, configurable: true, writable: true });
    }
    return value;
  };
}

function zeroOf(schema: Schema): unknown {
  const ref = refOf(schema);
  if (ref?.endsWith('.Quantity')) return '0';
  if (ref?.endsWith('.IntOrString')) return 0;
  if (ref !== undefined) return {};
  const zeros: Record<string, unknown> = { string: '', boolean: false, integer: 0, number: 0, array: [], object: {} };
  return zeros[schema.type ?? 'object'];
}

function goType(schema: Schema): string {
  const ref = refOf(schema);
  if (ref !== undefined) return shortName(ref);
  if (schema.type === 'array') return `[]${goType(schema.items ?? {})}`;
  if (schema.additionalProperties) return `map[string]${goType(schema.additionalProperties)}`;
  if (schema.type === 'integer') return schema.format ?? 'int64';
  if (schema.type === 'string') return schema.format === 'byte' ? '[]uint8' : 'string';
  if (schema.type === 'boolean') return 'bool';
  return schema.type === 'number' ? 'float64' : 'object';
}
