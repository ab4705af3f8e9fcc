/**
 * Makes descriptions.json, what `kubectl explain` says of each kind and field, from the declarations of
 * @kubernetes/client-node, where that is installed. npm runs it after an installation; the file is no part of the sources.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { definitions, type Schema } from '../schema.ts';
import { descriptionsFile, type Descriptions } from './descriptions.ts';

const models = new URL('../../node_modules/@kubernetes/client-node/dist/gen/models/', import.meta.url);

interface Model {
  description: string;
  properties: Record<string, string>;
}

/** `io.k8s.api.core.v1.Event` may be declared as `CoreV1Event` or `V1Event`. */
function candidates(name: string): string[] {
  const [kind = '', version = '', group = ''] = name.split('.').reverse();
  const capital = (word: string) => word.slice(0, 1).toUpperCase() + word.slice(1);
  return [`${capital(group)}${capital(version)}${kind}`, `${capital(version)}${kind}`];
}

function read(model: string): Model | undefined {
  const file = new URL(`${model}.d.ts`, models);
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, 'utf8');
  const at = text.indexOf(`export declare class ${model} `);
  const properties: Record<string, string> = {};
  for (const [, words, name] of text.slice(at).matchAll(/\/\*\*([\s\S]*?)\*\/\s*'([^']+)'\??:/g))
    properties[name!.replace(/^_/, '')] = plain(words!);
  const own = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/.exec(text.slice(0, at))?.[1] ?? '';
  return { description: plain(own), properties };
}

const plain = (comment: string): string =>
  comment
    .replace(/^\s*\*\s?/gm, '')
    .replace(/\\(['"])/g, '$1')
    .trim();

const isOf = (model: Model, { properties = {} }: Schema): boolean =>
  Object.keys(model.properties).every((name) => name in properties);

if (existsSync(models)) {
  const all: Descriptions = {};
  for (const [name, schema] of Object.entries(definitions)) {
    const model = candidates(name)
      .map(read)
      .find((one) => one && isOf(one, schema));
    if (model) all[name] = model;
  }
  writeFileSync(descriptionsFile, JSON.stringify(all));
}
