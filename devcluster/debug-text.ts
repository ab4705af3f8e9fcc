/** A message as Protocol Buffers prints it for people; Mesos puts such texts into some of its complaints. */
import { shapeOf, type Field } from '../mesos/schema.ts';

type Message = Readonly<Record<string, unknown>>;

export function debugText(typeName: string, value: object, indent = ''): string {
  return printFields(shapeOf(typeName).fields, value as Message, indent);
}

function printFields(fields: readonly Field[], value: Message, indent: string): string {
  let text = '';
  for (const field of fields) {
    const inner = value[field.name];
    if (inner == null) continue;
    const values = field.repeated ? (inner as unknown[]) : field.map ? Object.entries(inner) : [inner];
    for (const one of values) text += printOne(field, one, indent);
  }
  return text;
}

function printOne(field: Field, value: unknown, indent: string): string {
  if (field.map) {
    const [key, inner] = value as [string, unknown];
    const one = printOne({ ...field, map: false, name: 'value' }, inner, `${indent}  `);
    return `${indent}${field.name} {\n${indent}  key: ${JSON.stringify(key)}\n${one}${indent}}\n`;
  }
  if (field.shape)
    return `${indent}${field.name} {\n${printFields(field.shape.fields, value as Message, `${indent}  `)}${indent}}\n`;
  return `${indent}${field.name}: ${printValue(field, value)}\n`;
}

function printValue(field: Field, value: unknown): string {
  if (field.kind === 'string') return JSON.stringify(value);
  if (field.kind === 'bytes') return JSON.stringify(Buffer.from(value as Uint8Array).toString('latin1'));
  return String(value);
}
