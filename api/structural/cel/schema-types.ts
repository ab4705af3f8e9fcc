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

/**
 * Declares the type that values of a schema have in CEL, and tells its name. Only what the expressions mention is looked into:
 * schemas have thousands of fields. https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
 */
export function declareSchemaType(
  environment: Environment,
  name: string,
  schema: StructuralSchema,
  expressions: string,
  isRoot: boolean,
): string {
  const typeOf = (one: StructuralSchema, at: string, isWhole: boolean): string => {
    if (one.nullable || one['x-kubernetes-int-or-string']) return 'dyn';
    switch (one.type) {
      case 'boolean':
        return 'bool';
      case 'integer':
        return 'int';
      case 'number':
        return 'double';
      case 'string':
        return textTypes[one.format ?? ''] ?? 'string';
      case 'array':
        return `list<${one.items ? typeOf(one.items, `${at}.idx`, false) : 'dyn'}>`;
      case 'object':
        return isWhole || one.properties ? objectOf(one, at, isWhole) : mapOf(one, at);
      default:
        return 'dyn';
    }
  };
  const objectOf = ({ properties = {} }: StructuralSchema, at: string, isWhole: boolean): string => {
    const fields: Record<string, string> = {};
    for (const [property, one] of Object.entries({ ...properties, ...(isWhole ? ofRoot : {}) })) {
      const field = escaped(property);
      fields[field] = expressions.includes(field)
        ? typeOf(one, `${at}.${field.replace(/\W/g, '_')}`, isEmbedded(one))
        : 'dyn';
    }
    environment.registerType(at, { fields });
    const never = () => false;
    environment.registerOperator(`${at} == ${at}`, never).registerOperator(`${at} == null`, never);
    return at;
  };
  const mapOf = ({ additionalProperties: values, ...one }: StructuralSchema, at: string): string => {
    if (values === undefined) return one['x-kubernetes-preserve-unknown-fields'] ? 'dyn' : 'map<string, dyn>';
    return `map<string, ${isObject(values) ? typeOf(values as StructuralSchema, `${at}.elem`, false) : 'dyn'}>`;
  };
  return typeOf(schema, name, isRoot || isEmbedded(schema));
}

const isEmbedded = (schema: StructuralSchema): boolean => schema['x-kubernetes-embedded-resource'] === true;

const textTypes: Record<string, string> = {
  byte: 'bytes',
  date: 'google.protobuf.Timestamp',
  'date-time': 'google.protobuf.Timestamp',
  duration: 'google.protobuf.Duration',
};
