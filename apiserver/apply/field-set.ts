import { isRecord, setMember, type Json } from '../patch/json.ts';

const childless: ReadonlyMap<string, FieldSet> = new Map();

/**
 * A set of paths into an object, kept as a tree. An edge is one path element as FieldsV1 writes it: `f:<field>`,
 * `k:{"name":"x"}` (an item of a list by its keys), `v:<JSON>` (an item of a set), `i:<index>`.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#ManagedFieldsEntry
 */
export class FieldSet {
  /** Whether the path that leads here is in the set; paths below it are so on their own. */
  member = false;
  /** Made with the first child: most sets are leaves. */
  #children: Map<string, FieldSet> | undefined;

  get children(): ReadonlyMap<string, FieldSet> {
    return this.#children ?? childless;
  }

  child(element: string): FieldSet {
    return this.children.get(element) ?? this.put(element, new FieldSet());
  }

  put(element: string, child: FieldSet): FieldSet {
    (this.#children ??= new Map()).set(element, child);
    return child;
  }

  drop(element: string): void {
    this.#children?.delete(element);
  }

  at(path: readonly string[]): FieldSet | undefined {
    let node: FieldSet | undefined = this as FieldSet;
    for (const element of path) node = node?.children.get(element);
    return node;
  }

  get isEmpty(): boolean {
    if (this.member) return false;
    for (const child of this.children.values()) if (!child.isEmpty) return false;
    return true;
  }

  /** Every path of the set, its elements in order. */
  *paths(prefix: readonly string[] = []): Generator<readonly string[]> {
    if (this.member) yield prefix;
    for (const element of [...this.children.keys()].sort())
      yield* this.children.get(element)!.paths([...prefix, element]);
  }
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  const out = new FieldSet();
  out.member = a.member || b.member;
  for (const [element, child] of a.children) {
    const other = b.children.get(element);
    out.put(element, other ? union(child, other) : child);
  }
  for (const [element, child] of b.children) if (!out.children.has(element)) out.put(element, child);
  return out;
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const out = new FieldSet();
  out.member = a.member && b.member;
  for (const [element, child] of a.children) {
    const other = b.children.get(element);
    const both = other && intersection(child, other);
    if (both && !both.isEmpty) out.put(element, both);
  }
  return out;
}

/** The paths of `a` that are not in `b`; a path below one of `b` stays. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  const out = new FieldSet();
  out.member = a.member && !b.member;
  for (const [element, child] of a.children) {
    const other = b.children.get(element);
    const left = other ? difference(child, other) : child;
    if (!left.isEmpty) out.put(element, left);
  }
  return out;
}

export function sameSet(a: FieldSet, b: FieldSet): boolean {
  return difference(a, b).isEmpty && difference(b, a).isEmpty;
}

/** The set with every field on the way to a path: owning `spec.replicas` counts as owning `spec`. */
export function withParents(set: FieldSet): FieldSet {
  const out = new FieldSet();
  out.member = set.member;
  for (const [element, child] of set.children) {
    const copy = withParents(child);
    if (element.startsWith('f:') && copy.children.size > 0) copy.member = true;
    out.put(element, copy);
  }
  return out;
}

/** FieldsV1: a member without children is `{}`, one with children says `".": {}`. */
export function toFieldsV1(set: FieldSet): Json {
  const out: Json = {};
  if (set.member && set.children.size > 0) out['.'] = {};
  for (const element of [...set.children.keys()].sort()) {
    const child = set.children.get(element)!;
    if (!child.isEmpty) setMember(out, element, toFieldsV1(child));
  }
  return out;
}

/** The inverse of toFieldsV1; undefined when the value is no FieldsV1. */
export function fromFieldsV1(value: unknown, depth = 0): FieldSet | undefined {
  if (!isRecord(value) || depth > 200) return undefined;
  const set = new FieldSet();
  const elements = Object.keys(value);
  set.member = depth > 0 && elements.length === 0;
  for (const element of elements) {
    if (element === '.') set.member = true;
    else if (!/^[fkvi]:/.test(element)) return undefined;
    else {
      const child = fromFieldsV1(value[element], depth + 1);
      if (!child) return undefined;
      set.put(element, child);
    }
  }
  return set;
}

/** A path as conflicts show it: `.spec.containers[name="web"].image`. */
export function pathText(path: readonly string[]): string {
  return path.map(elementText).join('');
}

function elementText(element: string): string {
  const rest = element.slice(2);
  switch (element[0]) {
    case 'f':
      return `.${rest}`;
    case 'k': {
      const keys = Object.entries(JSON.parse(rest) as Json).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      return `[${keys.join(',')}]`;
    }
    case 'v':
      return `[=${rest}]`;
    default:
      return `[${rest}]`;
  }
}
