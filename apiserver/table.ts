import { ageColumn, nameColumn } from '../api/columns.ts';
import type { Column, Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import { isTerminal, Pod } from '../api/kinds/pod.ts';
import { badRequest } from '../api/status.ts';
import type { Entry } from './encoding.ts';

/** What rows carry beside their cells. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export function readIncludeObject(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject') || 'Metadata';
  if (value === 'None' || value === 'Metadata' || value === 'Object') return value;
  throw badRequest(`unrecognized includeObject value: "${value}"`);
}

const fallback: readonly Column<KubeObject>[] = [nameColumn, ageColumn];

const columnsOf = (kind: Kind): readonly Column<KubeObject>[] => kind.columns ?? fallback;

const definitions = new WeakMap<Kind, string>();

function columnDefinitions(kind: Kind): string {
  const known = definitions.get(kind);
  if (known) return known;
  const made = JSON.stringify(
    columnsOf(kind).map(({ name, type = 'string', format = '', description = '', priority = 0 }) => ({
      name,
      type,
      format,
      description,
      priority,
    })),
  );
  definitions.set(kind, made);
  return made;
}

/** The JSON of a `meta.k8s.io` Table. */
export function tableJson(
  kind: Kind,
  entries: readonly Entry[],
  apiVersion: string,
  include: IncludeObject,
  listMeta: Readonly<Record<string, unknown>>,
): string {
  const now = Date.now();
  const rows = entries.map((entry) => rowJson(kind, entry, apiVersion, include, now)).join(',');
  return `{"kind":"Table","apiVersion":"${apiVersion}","metadata":${JSON.stringify(listMeta)},"columnDefinitions":${columnDefinitions(kind)},"rows":[${rows}]}`;
}

function rowJson(kind: Kind, entry: Entry, apiVersion: string, include: IncludeObject, now: number): string {
  const { object } = entry;
  const cells = JSON.stringify(columnsOf(kind).map((column) => column.value(object, now) ?? null));
  const conditions = kind.plural === Pod.plural && kind.group === '' ? completed(object as Pod) : '';
  if (include === 'None') return `{"cells":${cells}${conditions}}`;
  const shown = include === 'Object' ? entry.bytes.toString() : partialJson(object, apiVersion);
  return `{"cells":${cells}${conditions},"object":${shown}}`;
}

function completed(pod: Pod): string {
  if (!isTerminal(pod)) return '';
  const succeeded = pod.status?.phase === 'Succeeded';
  return `,"conditions":[{"type":"Completed","status":"True","reason":"${succeeded ? 'Succeeded' : 'Failed'}","message":"${succeeded ? 'The pod has completed successfully.' : 'The pod failed.'}"}]`;
}

/** The JSON of a PartialObjectMetadata. */
export const partialJson = (object: Readonly<KubeObject>, apiVersion: string): string =>
  `{"kind":"PartialObjectMetadata","apiVersion":"${apiVersion}","metadata":${JSON.stringify(object.metadata)}}`;
