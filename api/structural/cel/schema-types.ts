import type { Environment } from '@marcbachmann/cel-js';
import { escaped } from '../cel-values.ts';
import { isObject, type StructuralSchema } from '../schema.ts';

const text: StructuralSchema = { type: 'string' };
/** What every rule of an object knows, whatever its schema says. */
const ofRoot: Record<string, StructuralSchema> = {
  apiVersion: text,
  kind: text,
  metadata: { type: 'object', properties: { name: text, generateName: text } },
};

/** What a schema refers to, and its name; undefined where it says all itself. */
export type Follow = (schema: StructuralSchema) => { name: string; schema: StructuralSchema } | undefined;

/**
 * The types that values of schemas have in CEL. Only what the expressions mention is looked into: schemas have thousands of
 * fields, and definitions of Kubernetes refer to themselves.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
 */
export class SchemaTypes {
  readonly #environment: Environment;
  readonly #expressions: string;
  readonly #follow: Follow;
  readonly #declared = new Set<string>();

  constructor(environment: Environment, expressions: string, follow: Follow = () => undefined) {
    this.#environment = environment;
    this.#expressions = expressions;
    this.#follow = follow;
  }

  /** Declares the type of a schema, under the name where it needs one. `isRoot` where it is that of whole custom objects. */
  declare(schema: StructuralSchema, name: string, isRoot: boolean): string {
    const followed = this.#follow(schema);
    if (followed) return this.declare(followed.schema, followed.name.replace(/[^\w.]/g, '_'), false);
    if (schema.nullable || schema['x-kubernetes-int-or-string']) return 'dyn';
    switch (schema.type) {
      case 'boolean':
        return 'bool';
      case 'integer':
        return 'int';
      case 'number':
        return 'double';
      case 'string':
        return textTypes[schema.format ?? ''] ?? 'string';
      case 'array':
        return `list<${schema.items ? this.declare(schema.items, `${name}.idx`, false) : 'dyn'}>`;
      case 'object':
        return this.#declareObject(schema, name, isRoot || schema['x-kubernetes-embedded-resource'] === true);
      default:
        return 'dyn';
    }
  }

  #declareObject(
    { properties, additionalProperties: values }: StructuralSchema,
    name: string,
    isWhole: boolean,
  ): string {
    if (!properties && !isWhole)
      return isObject(values)
        ? `map<string, ${this.declare(values as StructuralSchema, `${name}.elem`, false)}>`
        : 'dyn';
    if (this.#declared.has(name)) return name;
    this.#declared.add(name);
    const fields: Record<string, string> = {};
    for (const [property, schema] of Object.entries({ ...properties, ...(isWhole ? ofRoot : {}) })) {
      const field = escaped(property);
      const isMentioned = this.#expressions.includes(field);
      fields[field] = isMentioned ? this.declare(schema, `${name}.${field.replace(/\W/g, '_')}`, false) : 'dyn';
    }
    this.#environment.registerType(name, { fields });
    const never = () => false;
    this.#environment.registerOperator(`${name} == ${name}`, never).registerOperator(`${name} == null`, never);
    return name;
  }
}

const textTypes: Record<string, string> = {
  byte: 'bytes',
  date: 'google.protobuf.Timestamp',
  'date-time': 'google.protobuf.Timestamp',
  duration: 'google.protobuf.Duration',
};
