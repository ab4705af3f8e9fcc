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
  /** What it counts as when it is not set; undefined where Mesos does not write that. */
  readonly fallback: unknown;
}

type Message = Readonly<Record<string, unknown>>;
type MessageField = Field & { readonly shape: Shape };

export interface Shape {
  /** Without the package: `Offer.Operation`. */
  readonly name: string;
  /** In the order of their numbers. */
  fields: readonly Field[];
  /** In the order of their names: the order in which Mesos reads a JSON object, hence of its complaints. */
  alphabetical: readonly Field[];
  byId: ReadonlyMap<number, Field>;
  required: readonly Field[];
  /** Fields that are messages themselves. */
  messages: readonly MessageField[];
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
  const made: Shape = { name, fields: [], alphabetical: [], byId: new Map(), required: [], messages: [] };
  shapes.set(type.fullName, made);
  made.fields = type.fieldsArray.map(field).sort((a, b) => a.id - b.id);
  made.alphabetical = made.fields.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  made.byId = new Map(made.fields.map((f) => [f.id, f]));
  made.required = made.fields.filter((f) => f.required);
  made.messages = made.fields.filter((f): f is MessageField => f.shape !== undefined);
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
    fallback: from.options?.['deprecated'] ? undefined : from.options?.['default'],
  };
}

/** Paths of the required fields that are not set, as Mesos names them: `subscribe.framework_info.user`, `tasks[0].name`. */
export function missingFields(shape: Shape, value: Message, prefix = ''): string[] {
  // Nearly every message is complete: paths are made only for those that are not.
  if (isComplete(shape, value)) return [];
  const own = shape.required.filter((f) => value[f.name] == null).map((f) => prefix + f.name);
  const inner = shape.messages.flatMap((f) =>
    Object.entries(messagesIn(f, value)).flatMap(([key, item]) => {
      const at = f.repeated || f.map ? `${f.name}[${key}]` : f.name;
      return missingFields(f.shape, item, `${prefix}${at}.`);
    }),
  );
  return [...own, ...inner];
}

function isComplete(shape: Shape, value: Message): boolean {
  for (const f of shape.required) if (value[f.name] == null) return false;
  for (const f of shape.messages) {
    if (value[f.name] == null) continue;
    for (const item of Object.values(messagesIn(f, value))) if (!isComplete(f.shape, item)) return false;
  }
  return true;
}

/** One, an array of them, or a map of them. */
function messagesIn(field: Field, value: Message): readonly Message[] | Readonly<Record<string, Message>> {
  const inner = value[field.name];
  if (inner == null) return [];
  return (field.repeated || field.map ? inner : [inner]) as Message[] | Record<string, Message>;
}
