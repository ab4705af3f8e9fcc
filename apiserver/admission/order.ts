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
  /** Changes the object before it is validated. */
  mutate?: (request: AdmissionRequest) => void | Promise<void>;
  /** Looks at the valid object. */
  validate?: (request: AdmissionRequest) => void | Promise<void>;
  /** Takes what must be unique in the cluster; the answer gives it back when the write fails. */
  allocate?: (request: AdmissionRequest) => Promise<(() => Promise<void>) | undefined>;
  /** After an update or a deletion was written: gives back what the object no longer uses. */
  released?: (request: AdmissionRequest) => Promise<void>;
}

/** The rules in their order. Most have a word on little: what a rule leaves out costs a write nothing. */
export class Admission {
  readonly #mutate: NonNullable<AdmissionRule['mutate']>[];
  readonly #validate: NonNullable<AdmissionRule['validate']>[];
  readonly #allocate: NonNullable<AdmissionRule['allocate']>[];
  readonly #released: NonNullable<AdmissionRule['released']>[];

  constructor(rules: readonly AdmissionRule[]) {
    this.#mutate = rules.flatMap(({ mutate }) => mutate ?? []);
    this.#validate = rules.flatMap(({ validate }) => validate ?? []);
    this.#allocate = rules.flatMap(({ allocate }) => allocate ?? []);
    this.#released = rules.flatMap(({ released }) => released ?? []);
  }

  async mutate(request: AdmissionRequest): Promise<void> {
    for (const mutate of this.#mutate) {
      const waiting = mutate(request);
      if (waiting) await waiting;
    }
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
