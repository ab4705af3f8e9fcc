import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { WriteOptions } from '../call.ts';

export interface AdmissionRequest {
  operation: 'create' | 'update' | 'delete' | 'connect';
  kind: Kind;
  /** What is to be written; what is to be deleted; the options of a connection. */
  object: KubeObject;
  old: Readonly<KubeObject> | undefined;
  options: WriteOptions;
}

/** A rule on writes that needs to know more than the object. Every part is optional; throw a StatusError to refuse. */
export interface AdmissionRule {
  name: string;
  /** Changes the object before it is validated; a foreign rule answers whether it did. */
  mutate?: (request: AdmissionRequest) => void | Promise<boolean | void>;
  /** What others wrote changes objects here: the rules before it are asked once more when it did. */
  isForeign?: boolean;
  /** Looks at the valid object. */
  validate?: (request: AdmissionRequest) => void | Promise<void>;
  /** Takes what must be unique in the cluster; the answer gives it back when the write fails. */
  allocate?: (request: AdmissionRequest) => Promise<(() => Promise<void>) | undefined>;
  /** After an update or a deletion was written: gives back what the object no longer uses. */
  released?: (request: AdmissionRequest) => Promise<void>;
}

type Mutate = NonNullable<AdmissionRule['mutate']>;

/** One after the other; true when one says that it changed the object. */
async function ask(rules: readonly Mutate[], request: AdmissionRequest): Promise<boolean> {
  let isChanged = false;
  for (const mutate of rules) {
    const waiting = mutate(request);
    if (waiting && (await waiting)) isChanged = true;
  }
  return isChanged;
}

/** The rules in their order. Most have a word on little: what a rule leaves out costs a write nothing. */
export class Admission {
  readonly #before: Mutate[];
  readonly #foreign: Mutate[];
  readonly #after: Mutate[];
  readonly #validate: NonNullable<AdmissionRule['validate']>[];
  readonly #allocate: NonNullable<AdmissionRule['allocate']>[];
  readonly #released: NonNullable<AdmissionRule['released']>[];

  constructor(rules: readonly AdmissionRule[]) {
    const mutating = (some: readonly AdmissionRule[]) => some.flatMap(({ mutate }) => mutate ?? []);
    const foreign = rules.filter(({ isForeign }) => isForeign);
    const [from, to] = foreign.length > 0 ? [rules.indexOf(foreign[0]!), rules.indexOf(foreign.at(-1)!) + 1] : [0, 0];
    this.#before = mutating(rules.slice(0, from));
    this.#foreign = mutating(foreign);
    this.#after = mutating(rules.slice(to));
    this.#validate = rules.flatMap(({ validate }) => validate ?? []);
    this.#allocate = rules.flatMap(({ allocate }) => allocate ?? []);
    this.#released = rules.flatMap(({ released }) => released ?? []);
  }

  async mutate(request: AdmissionRequest): Promise<void> {
    await ask(this.#before, request);
    // A container that a webhook put in wants its defaults and its token as every other.
    if (await ask(this.#foreign, request)) await ask(this.#before, request);
    await ask(this.#after, request);
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const validate of this.#validate) {
      const waiting = validate(request);
      if (waiting) await waiting;
    }
  }

  async allocate(request: AdmissionRequest): Promise<() => Promise<void>> {
    const undo: (() => Promise<void>)[] = [];
    const all = async () => {
      for (const one of undo.splice(0)) await one();
    };
    try {
      for (const allocate of this.#allocate) {
        const back = await allocate(request);
        if (back) undo.push(back);
      }
    } catch (error) {
      await all();
      throw error;
    }
    return all;
  }

  async released(request: AdmissionRequest): Promise<void> {
    for (const released of this.#released) await released(request);
  }
}
