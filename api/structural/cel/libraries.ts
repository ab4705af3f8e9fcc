import type { Environment } from '@marcbachmann/cel-js';
import { addresses } from './addresses.ts';
import { authorizers } from './authorizer.ts';
import { comprehensions } from './comprehensions.ts';
import { defineNamespace } from './define.ts';
import { formats } from './formats.ts';
import { lists, sets } from './lists.ts';
import { optionals } from './optionals.ts';
import { quantities } from './quantities.ts';
import { regexes } from './regexes.ts';
import { texts } from './texts.ts';
import { times } from './times.ts';
import { urls } from './urls.ts';
import { versions } from './versions.ts';

/** What Kubernetes adds to CEL: https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries */
export function addLibraries(environment: Environment): Environment {
  const libraries = [
    ...[lists, sets, texts, regexes, times, optionals, comprehensions],
    ...[urls, addresses, formats, versions, quantities, authorizers, jsonPatches],
  ];
  for (const add of libraries) add(environment);
  return environment;
}

/** https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/#jsonpatch */
function jsonPatches(environment: Environment): void {
  defineNamespace(environment, 'jsonpatch', {
    'escapeKey(string): string': (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1'),
  });
}
