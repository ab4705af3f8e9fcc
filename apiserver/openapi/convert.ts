import type { Json } from './documents.ts';
import { partOf, type Addition } from './merge.ts';

/** OpenAPI v3 of a group version whose server describes itself in Swagger 2.0 alone, as kube-aggregator makes it. */
export function convertedV3(addition: Addition): Json {
  const { paths, definitions } = partOf(addition);
  const renamed = (value: Json): Json =>
    JSON.parse(JSON.stringify(value).replaceAll('"#/definitions/', '"#/components/schemas/')) as Json;
  return {
    openapi: '3.0.0',
    info: addition.document['info'],
    paths: renamed(mapped(paths, pathItem)),
    components: { schemas: renamed(definitions) },
  };
}

const mapped = (object: Json, change: (value: Json) => Json): Json =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value as Json)]));

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch'];

function pathItem(item: Json): Json {
  const { parameters, ...rest } = item;
  const operations = Object.entries(rest).map(([name, value]) => [
    name,
    methods.includes(name) ? operation(value as Json) : value,
  ]);
  return {
    ...Object.fromEntries(operations),
    ...(parameters ? { parameters: (parameters as Json[]).map(parameter) } : {}),
  };
}

function operation({ consumes, produces, schemes: _schemes, parameters = [], responses = {}, ...rest }: Json): Json {
  const all = parameters as Json[];
  const body = all.find((one) => one['in'] === 'body');
  const answers = mapped(responses as Json, ({ schema, ...answer }) =>
    schema ? { ...answer, content: contentOf(produces, schema as Json) } : answer,
  );
  return {
    ...rest,
    parameters: all.filter((one) => one !== body).map(parameter),
    ...(body
      ? { requestBody: { required: body['required'] === true, content: contentOf(consumes, body['schema'] as Json) } }
      : {}),
    responses: answers,
  };
}

const contentOf = (types: unknown, schema: Json): Json =>
  Object.fromEntries(((types as string[] | undefined) ?? ['application/json']).map((type) => [type, { schema }]));

/** What Swagger says of a parameter beside its schema. */
const outside = new Set(['name', 'in', 'required', 'description']);

function parameter(one: Json): Json {
  if (one['$ref'] !== undefined) return one;
  const part = (isOutside: boolean) =>
    Object.fromEntries(Object.entries(one).filter(([name]) => outside.has(name) === isOutside));
  return { ...part(true), schema: part(false) };
}
