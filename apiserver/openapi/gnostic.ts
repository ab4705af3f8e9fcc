import protobuf from 'protobufjs/minimal.js';
import { stringify } from 'yaml';
import type { Json } from './documents.ts';

/**
 * Swagger 2.0 as gnostic's protobuf, which older kubectls insist on.
 * Field numbers: https://github.com/google/gnostic-models/blob/main/openapiv2/OpenAPIv2.proto
 */
export function encodeGnostic(document: Json): Buffer {
  const writer = Writer.create();
  text(writer, 1, document['swagger']);
  message(writer, 2, () => {
    const { title, version } = document['info'] as Json;
    text(writer, 1, title);
    text(writer, 2, version);
  });
  message(writer, 8, () => named(writer, 2, document['paths'] as Json, (item) => pathItem(writer, item as Json)));
  message(writer, 9, () =>
    named(writer, 1, document['definitions'] as Json, (schema) => schemaOf(writer, schema as Json)),
  );
  return Buffer.from(writer.finish());
}

const { Writer } = protobuf;
type Writer = protobuf.Writer;

const bytes = (field: number): number => (field << 3) | 2;

function message(writer: Writer, field: number, write: () => void): void {
  writer.uint32(bytes(field)).fork();
  write();
  writer.ldelim();
}

function text(writer: Writer, field: number, value: unknown): void {
  if (typeof value === 'string' && value !== '') writer.uint32(bytes(field)).string(value);
}

function texts(writer: Writer, field: number, values: unknown): void {
  for (const value of Array.isArray(values) ? values : []) text(writer, field, value);
}

function flag(writer: Writer, field: number, value: unknown): void {
  if (value === true) writer.uint32(field << 3).bool(true);
}

/** A map as gnostic writes it: repeated pairs of name and value. */
function named(writer: Writer, field: number, values: Json | undefined, write: (value: unknown) => void): void {
  for (const [name, value] of Object.entries(values ?? {}))
    message(writer, field, () => {
      text(writer, 1, name);
      message(writer, 2, () => write(value));
    });
}

/** Extensions keep their value as YAML text. */
function extensions(writer: Writer, field: number, object: Json): void {
  const own = Object.fromEntries(Object.entries(object).filter(([name]) => name.startsWith('x-')));
  named(writer, field, own, (value) => text(writer, 2, stringify(value)));
}

function pathItem(writer: Writer, item: Json): void {
  const methods = { get: 2, put: 3, post: 4, delete: 5, patch: 8 };
  for (const [method, field] of Object.entries(methods))
    if (item[method]) message(writer, field, () => operation(writer, item[method] as Json));
  parameters(writer, 9, item['parameters']);
}

function operation(writer: Writer, value: Json): void {
  texts(writer, 1, value['tags']);
  text(writer, 5, value['operationId']);
  texts(writer, 7, value['consumes']);
  parameters(writer, 8, value['parameters']);
  message(writer, 9, () =>
    named(writer, 1, value['responses'] as Json, (response) =>
      message(writer, 1, () => responseOf(writer, response as Json)),
    ),
  );
  extensions(writer, 13, value);
}

function responseOf(writer: Writer, { description, schema }: Json): void {
  text(writer, 1, description);
  if (schema) message(writer, 2, () => message(writer, 1, () => schemaOf(writer, schema as Json)));
}

function parameters(writer: Writer, field: number, values: unknown): void {
  for (const value of Array.isArray(values) ? (values as Json[]) : [])
    message(writer, field, () => message(writer, 1, () => parameter(writer, value)));
}

function parameter(writer: Writer, value: Json): void {
  if (value['in'] === 'body') {
    message(writer, 1, () => {
      text(writer, 2, value['name']);
      text(writer, 3, 'body');
      flag(writer, 4, value['required']);
      message(writer, 5, () => schemaOf(writer, value['schema'] as Json));
    });
    return;
  }
  const isPath = value['in'] === 'path';
  message(writer, 2, () =>
    message(writer, isPath ? 4 : 3, () => {
      flag(writer, 1, value['required']);
      text(writer, 2, value['in']);
      text(writer, 4, value['name']);
      text(writer, isPath ? 5 : 6, value['type']);
    }),
  );
}

function schemaOf(writer: Writer, schema: Json): void {
  text(writer, 1, schema['$ref']);
  text(writer, 2, schema['format']);
  text(writer, 4, schema['description']);
  texts(writer, 19, schema['required']);
  for (const choice of (schema['enum'] as unknown[] | undefined) ?? [])
    message(writer, 20, () => text(writer, 2, stringify(choice)));
  const additional = schema['additionalProperties'] as Json | undefined;
  if (additional) message(writer, 21, () => message(writer, 1, () => schemaOf(writer, additional)));
  if (schema['type']) message(writer, 22, () => text(writer, 1, schema['type']));
  const items = schema['items'] as Json | undefined;
  if (items) message(writer, 23, () => message(writer, 1, () => schemaOf(writer, items)));
  const properties = schema['properties'] as Json | undefined;
  if (properties) message(writer, 25, () => named(writer, 1, properties, (child) => schemaOf(writer, child as Json)));
  extensions(writer, 31, schema);
}
