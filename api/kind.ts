import type { KubeObject } from './meta.ts';

/** A column of `kubectl get`. */
export interface Column<T> {
  name: string;
  value: (object: T, now: number) => string | number | boolean | null | undefined;
  type?: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  format?: string;
  description?: string;
  /** 0 shows always, 1 with `-o wide`. */
  priority?: number;
}

/** What a rule found: a path such as `spec.containers[0].name`, in Kubernetes' words. */
export interface FieldError {
  type:
    | 'Required'
    | 'Invalid'
    | 'NotSupported'
    | 'Duplicate'
    | 'Forbidden'
    | 'TooLong'
    | 'TooMany'
    | 'NotFound'
    | 'InternalError';
  field: string;
  detail: string;
  value?: unknown;
}

export type Subresource =
  | 'status'
  | 'scale'
  | 'binding'
  | 'eviction'
  | 'log'
  | 'exec'
  | 'attach'
  | 'portforward'
  | 'proxy'
  | 'finalize'
  | 'token'
  | 'approval';

/** What one file of api/kinds/ says of its kind. Everything but the names has a default. */
export interface KindSpec<T extends KubeObject> {
  /** '' for the core group. */
  group: string;
  version: string;
  kind: string;
  plural: string;
  /** Lower-case kind unless told. */
  singular?: string;
  short?: readonly string[];
  categories?: readonly string[];
  namespaced: boolean;
  subresources?: readonly Subresource[];
  /** Fills in what a user left out; called on create, update and on reads of older objects. Mutates. */
  defaults?: (object: T) => void;
  /** Rules on a whole object, after defaults. */
  validate?: (object: T) => FieldError[];
  /** Rules on a change: immutable fields and allowed moves. */
  validateUpdate?: (object: T, old: T) => FieldError[];
  /** Called before a create is validated: clears status, sets what only the server sets. Mutates. */
  prepareCreate?: (object: T) => void;
  /** Called before an update is validated: restores what this door may not change. Mutates. */
  prepareUpdate?: (object: T, old: T) => void;
  /** Called before a write through the status door is validated, after spec was restored. Mutates. */
  prepareStatus?: (object: T, old: T) => void;
  /** What is wrong with a name, in Kubernetes' words; a DNS subdomain unless told. */
  checkName?: (name: string) => string[];
  columns?: readonly Column<T>[];
  /** Fields that `--field-selector` may name besides metadata.name and metadata.namespace. */
  selectableFields?: Readonly<Record<string, (object: T) => string>>;
  /** metadata.generation counts changes of spec. True unless told. */
  generation?: boolean;
  /** Seconds that a DELETE waits for somebody to finish the object; 0 unless told. */
  gracePeriodSeconds?: (object: T) => number;
  /** Seconds after which the server forgets an object of this kind; it is kept unless told. */
  ttlSeconds?: number;
  /** PUT may create. */
  createOnUpdate?: boolean;
  /** Update without resourceVersion is allowed. True unless told. */
  unconditionalUpdate?: boolean;
  /** Only created, answered at once and never kept. */
  question?: boolean;
}

/** A resource kind in one place: routes, discovery, OpenAPI, tables and the client all read this object. */
export interface Kind<T extends KubeObject = KubeObject> extends KindSpec<T> {
  singular: string;
  listKind: string;
  /** `v1` or `apps/v1`. */
  apiVersion: string;
  short: readonly string[];
  categories: readonly string[];
  subresources: readonly Subresource[];
}

export function kind<T extends KubeObject>(spec: KindSpec<T>): Kind<T> {
  return {
    short: [],
    categories: [],
    subresources: [],
    ...spec,
    singular: spec.singular ?? spec.kind.toLowerCase(),
    listKind: `${spec.kind}List`,
    apiVersion: spec.group ? `${spec.group}/${spec.version}` : spec.version,
  };
}

/** The path under which the apiserver serves a kind, a namespace of it, or one object. */
export function resourcePath(
  kind: Pick<Kind, 'group' | 'version' | 'plural' | 'namespaced'>,
  namespace?: string,
  name?: string,
  subresource?: string,
): string {
  const root = kind.group ? `/apis/${kind.group}/${kind.version}` : `/api/${kind.version}`;
  const scope = kind.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${root}${scope}/${kind.plural}${object}${subresource ? `/${subresource}` : ''}`;
}
