import type { Decoder } from './decode.ts';
import type { KubeObject } from './meta.ts';
import type { Schema } from './schema.ts';

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
  | 'ephemeralcontainers'
  | 'resize'
  | 'approval';

/** What a write through one subresource's door may do to an object. */
export interface NarrowDoor<T extends KubeObject> {
  /** Gives back what this door may not change. Mutates. */
  prepare: (object: T, old: T) => void;
  validate?: (object: T, old: T) => FieldError[];
}

/**
 * A kind that is kept in the form of another one: a second version, or a second name. Objects go over in batches, so that
 * a conversion by webhook is one call; metadata passes unchanged.
 */
export interface Storage {
  kind: Kind;
  toStored: (objects: KubeObject[]) => KubeObject[] | Promise<KubeObject[]>;
  fromStored: (objects: KubeObject[]) => KubeObject[] | Promise<KubeObject[]>;
  /** Rules on a new object in this form, beside those of the stored one. */
  validateNew?: (object: KubeObject) => FieldError[];
}

/** What one file of api/kinds/ says of its kind. Everything but the names has a default. */
export interface KindSpec<T extends KubeObject> {
  /** '' for the core group. */
  group: string;
  version: string;
  kind: string;
  plural: string;
  /** Lower-case kind unless told. */
  singular?: string;
  /** `<kind>List` unless told. */
  listKind?: string;
  short?: readonly string[];
  categories?: readonly string[];
  namespaced: boolean;
  /** The schema of a kind made at run time; the others have theirs in api/schema. */
  schema?: Schema;
  subresources?: readonly Subresource[];
  /** What may be asked of the collection and its objects; everything unless told. */
  verbs?: readonly string[];
  /** Subresources that change a part of the object other than its status. */
  doors?: Partial<Record<Subresource, NarrowDoor<T>>>;
  /** Where the objects are kept, if not in this form; then rules, selectable fields and hooks are those of that kind. */
  storage?: Storage;
  /** Makes of objects as they lie in the store what they are today: another version or older defaults may have made them. */
  restore?: (objects: KubeObject[]) => KubeObject[] | Promise<KubeObject[]>;
  /** Fills in what a user left out; called on create, update and on reads of older objects. Mutates. */
  defaults?: (object: T) => void;
  /** Rules on a whole object, after defaults; those of a custom resource let pass what they found in `old`. */
  validate?: (object: T, old?: T) => FieldError[];
  /** Rules on a change: immutable fields and allowed moves. */
  validateUpdate?: (object: T, old: T) => FieldError[];
  /** Rules that may look at what was there before, through whichever door; `old` is undefined for a new object. */
  validateRules?: (object: T, old: T | undefined) => FieldError[];
  /** Why no new objects are taken at the moment. */
  closed?: string;
  /**
   * Called before a create is validated, name and UID known: clears status, sets what only the server sets. Called again
   * when a generated name was taken. Mutates.
   */
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
  /** metadata.generation counts changes of spec; of Deployments those of annotations too. True unless told. */
  generation?: boolean | 'with annotations';
  /** Put on an object when its deletion is asked for; whoever finishes the object takes it off. */
  deletionFinalizer?: string;
  /** What belongs to an object stays when it is deleted and nobody says otherwise, as it was in the first days. */
  orphansDependents?: boolean;
  /** Cleans a parsed object in place and notes what it does not know; built-in kinds follow their schema. */
  decode?: Decoder;
  /** Why a version should no longer be used, for the caller's Warning header. */
  deprecation?: string;
  /** Where the scale subresource finds its parts, as paths of members; spec.replicas, status.replicas and spec.selector unless told. */
  scale?: { replicas: readonly string[]; current: readonly string[]; selector: readonly string[] | undefined };
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
    listKind: spec.listKind ?? `${spec.kind}List`,
    apiVersion: spec.group ? `${spec.group}/${spec.version}` : spec.version,
  };
}

/** The form in which a kind's objects are kept. */
export const storedAs = (kind: Kind): Kind => kind.storage?.kind ?? kind;

/** What makes of the stored form the one that is shown; undefined where they are the same. */
export const shownFrom = (kind: Kind): Storage['fromStored'] | undefined => kind.storage?.fromStored ?? kind.restore;

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
