/**
 * The messages of mesos/proto/*.proto as tables that the two codecs walk.
 * Read from the .proto files once, at the first use.
 */
import { join } from 'node:path';
import protobuf from 'protobufjs';

export type Primitive = 'double' | 'float' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'bool' | 'string' | 'bytes';

export interface Field {
  readonly name: string;
  readonly id: number;
  readonly kind: Primitive | 'enum' | 'message';
  readonly required: boolean;
  readonly repeated: boolean;
  /** A map from string to what the rest of the field describes. */
  readonly map: boolean;
  readonly shape: Shape | undefined;
  readonly numbers: ReadonlyMap<string, number>;
  readonly names: ReadonlyMap<number, string>;
}

export interface Shape {
  /** Without the package: `Offer.Operation`. */
  readonly name: string;
  /** In the order of their numbers. */
  fields: readonly Field[];
  /** In the order of their names: the order in which Mesos reads a JSON object, hence of its complaints. */
  alphabetical: readonly Field[];
  byId: ReadonlyMap<number, Field>;
}

/** Deeper nesting than this is refused, in both encodings. */
export const maxDepth = 100;

const files = ['mesos', 'scheduler', 'executor', 'master', 'agent', 'maintenance', 'quota', 'allocator'];
const shapes = new Map<string, Shape>();
let root: protobuf.Root | undefined;

function load(): protobuf.Root {
  const loaded = new protobuf.Root();
  loaded.resolvePath = (_origin, target) =>
    target.startsWith('google/') ? target : join(import.meta.dirname, 'proto', target);
  loaded.loadSync(
    files.map((name) => `${name}.proto`),
    { keepCase: true },
  );
  loaded.resolveAll();
  return loaded;
}

/** The table of one message by its full name, `mesos.v1.Offer`. */
export function shapeOf(fullName: string): Shape {
  root ??= load();
  return shape(root.lookupType(fullName));
}

function shape(type: protobuf.Type): Shape {
  const known = shapes.get(type.fullName);
  if (known) return known;
  const name = type.fullName.replace(/^\.mesos\.v1\.([a-z]+\.)?/, '');
  const made: Shape = { name, fields: [], alphabetical: [], byId: new Map() };
  shapes.set(type.fullName, made);
  made.fields = type.fieldsArray.map(field).sort((a, b) => a.id - b.id);
  made.alphabetical = made.fields.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  made.byId = new Map(made.fields.map((f) => [f.id, f]));
  return made;
}

function field(from: protobuf.Field): Field {
  const type = from.resolvedType;
  const values = type instanceof protobuf.Enum ? Object.entries(type.values) : [];
  return {
    name: from.name,
    id: from.id,
    kind: type instanceof protobuf.Enum ? 'enum' : type ? 'message' : (from.type as Primitive),
    required: from.required,
    repeated: from.repeated,
    map: from.map,
    shape: type instanceof protobuf.Type ? shape(type) : undefined,
    numbers: new Map(values),
    names: new Map(values.map(([name, n]) => [n, name])),
  };
}

/** Paths of the required fields that are not set, as Mesos names them: `subscribe.framework_info.user`, `tasks[0].name`. */
export function missingFields(shape: Shape, value: Readonly<Record<string, unknown>>, prefix = ''): string[] {
  const missing = shape.fields.filter((f) => f.required && value[f.name] == null).map((f) => prefix + f.name);
  for (const f of shape.fields) {
    const inner = value[f.name];
    if (!f.shape || inner == null) continue;
    if (f.repeated)
      (inner as Record<string, unknown>[]).forEach((item, i) =>
        missing.push(...missingFields(f.shape!, item, `${prefix}${f.name}[${i}].`)),
      );
    else if (f.map)
      for (const [key, item] of Object.entries(inner as Record<string, Record<string, unknown>>))
        missing.push(...missingFields(f.shape, item, `${prefix}${f.name}[${key}].`));
    else missing.push(...missingFields(f.shape, inner as Record<string, unknown>, `${prefix}${f.name}.`));
  }
  return missing;
}
