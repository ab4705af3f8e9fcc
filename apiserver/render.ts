import { stringify as stringifyYaml } from 'yaml';
import { shownFrom, type Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import type { Answer, ListAnswer } from './call.ts';
import { contentTypes, notAcceptable, type Output } from './negotiate.ts';
import { listMeta, objectBody, partialBody, protobufList, protobufPartialList, valueBody } from './protobuf/bodies.ts';
import { served } from './served.ts';
import { partialJson, readIncludeObject, tableJson } from './table.ts';

/** A body ready to be sent. Lists come in many pieces, so that nothing is copied. */
export interface Rendered {
  contentType: string;
  chunks: readonly Buffer[];
  length: number;
}

/** Gives an answer the form its caller asked for. */
export async function render(given: Answer, output: Output, query: URLSearchParams): Promise<Rendered> {
  // A Status is no object of a kind: it goes out as it is, whatever form was asked for.
  if ('value' in given && output.as !== 'object' && (given.value as KubeObject).kind !== 'Status')
    throw notAcceptable();
  const answer = 'kind' in given && shownFrom(given.kind) ? await inVersion(given) : given;
  if (output.media === 'protobuf') return sized(contentTypes.protobuf, protobufOf(answer, output));
  const chunks = chunksOf(answer, output, query);
  if (output.media === 'yaml') {
    const text = stringifyYaml(JSON.parse(Buffer.concat(chunks).toString()));
    return sized('application/yaml', [Buffer.from(text)]);
  }
  return sized(contentTypes.json, chunks);
}

/** The answer with its entries in the version that was asked for. */
async function inVersion(answer: Exclude<Answer, { value: unknown }>): Promise<Answer> {
  const { kind } = answer;
  if ('entry' in answer) return { ...answer, entry: (await served(kind, [answer.entry]))[0]! };
  return { ...answer, list: { ...answer.list, entries: await served(kind, answer.list.entries) } };
}

function sized(contentType: string, chunks: readonly Buffer[]): Rendered {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  return { contentType, chunks, length };
}

function protobufOf(answer: Answer, output: Output): Buffer[] {
  if ('value' in answer) return valueBody(answer.value as { apiVersion: string; kind: string });
  const { kind } = answer;
  switch (output.as) {
    case 'object':
      return 'entry' in answer ? objectBody(kind, answer.entry) : protobufList(kind, answer.list);
    case 'PartialObjectMetadata':
      if ('entry' in answer) return partialBody(answer.entry.object, output.version);
      throw notAcceptable();
    case 'PartialObjectMetadataList':
      if ('list' in answer) return protobufPartialList(answer.list, output.version);
      throw notAcceptable();
    case 'Table':
      throw notAcceptable();
  }
}

function chunksOf(answer: Answer, output: Output, query: URLSearchParams): Buffer[] {
  if ('value' in answer) return [Buffer.from(JSON.stringify(answer.value))];
  if ('entry' in answer) return [oneObject(answer.kind, answer.entry, output, query)];
  return listOf(answer.kind, answer.list, output, query);
}

function oneObject(
  kind: Kind,
  entry: Parameters<typeof tableJson>[1][number],
  output: Output,
  query: URLSearchParams,
): Buffer {
  switch (output.as) {
    case 'object':
      return entry.bytes;
    case 'Table': {
      const meta = { resourceVersion: entry.object.metadata.resourceVersion };
      return Buffer.from(tableJson(kind, [entry], output.version, readIncludeObject(query), meta));
    }
    case 'PartialObjectMetadata':
      return Buffer.from(partialJson(entry.object, output.version));
    case 'PartialObjectMetadataList':
      throw notAcceptable();
  }
}

const comma = Buffer.from(',');
const close = Buffer.from(']}');

function listOf(kind: Kind, list: ListAnswer, output: Output, query: URLSearchParams): Buffer[] {
  const meta = listMeta(list);
  switch (output.as) {
    case 'object': {
      const head = `{"kind":"${kind.listKind}","apiVersion":"${kind.apiVersion}","metadata":${JSON.stringify(meta)},"items":[`;
      const chunks: Buffer[] = [Buffer.from(head)];
      for (const [i, entry] of list.entries.entries()) {
        if (i > 0) chunks.push(comma);
        chunks.push(entry.bytes);
      }
      chunks.push(close);
      return chunks;
    }
    case 'Table':
      return [Buffer.from(tableJson(kind, list.entries, output.version, readIncludeObject(query), meta))];
    case 'PartialObjectMetadataList': {
      const items = list.entries.map(({ object }) => partialJson(object, output.version)).join(',');
      const head = `{"kind":"PartialObjectMetadataList","apiVersion":"${output.version}","metadata":${JSON.stringify(meta)},"items":[`;
      return [Buffer.from(`${head}${items}]}`)];
    }
    case 'PartialObjectMetadata':
      throw notAcceptable();
  }
}
