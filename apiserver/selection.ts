import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import {
  matches,
  parseFieldSelector,
  parseLabelSelector,
  type FieldRequirement,
  type Requirement,
} from '../api/selector.ts';
import { badRequest } from '../api/status.ts';
import type { Entry } from './encoding.ts';

/** Which objects a list or a watch is about. */
export interface Selection {
  namespace: string;
  /** undefined: everything in the namespace. */
  matches: ((entry: Entry) => boolean) | undefined;
}

export function readSelection(kind: Kind, namespace: string, query: URLSearchParams): Selection {
  const labels = readLabels(query.get('labelSelector') ?? '');
  const fields = readFields(kind, query.get('fieldSelector') ?? '');
  if (labels.length === 0 && fields.length === 0) return { namespace, matches: undefined };
  return {
    namespace,
    matches: ({ object }) =>
      fields.every(({ get, equal, value }) => (get(object) === value) === equal) &&
      matches(labels, object.metadata.labels),
  };
}

function readLabels(text: string): Requirement[] {
  try {
    return parseLabelSelector(text);
  } catch (error) {
    throw badRequest(`unable to parse requirement: ${(error as Error).message}`);
  }
}

type Field = { get: (object: Readonly<KubeObject>) => string; equal: boolean; value: string };

function readFields(kind: Kind, text: string): Field[] {
  let requirements: FieldRequirement[];
  try {
    requirements = parseFieldSelector(text);
  } catch (error) {
    throw badRequest((error as Error).message);
  }
  return requirements.map(({ field, equal, value }) => ({ get: getterOf(kind, field), equal, value }));
}

function getterOf(kind: Kind, field: string): (object: Readonly<KubeObject>) => string {
  if (field === 'metadata.name') return (object) => object.metadata.name ?? '';
  if (field === 'metadata.namespace' && kind.namespaced) return (object) => object.metadata.namespace ?? '';
  const get = Object.hasOwn(kind.selectableFields ?? {}, field) ? kind.selectableFields![field] : undefined;
  if (get) return get;
  throw badRequest(
    kind.selectableFields
      ? `field label not supported: ${field}`
      : `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`,
  );
}

/** Does an entry lie in the namespace and match? */
export const selects = ({ namespace, matches: test }: Selection, entry: Entry): boolean =>
  (namespace === '' || entry.key.startsWith(`${namespace}/`)) && (test === undefined || test(entry));
