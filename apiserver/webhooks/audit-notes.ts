import type { WriteOptions } from '../call.ts';

/** A webhook of a configuration, and the place that it has among all that a request asks. */
export interface Place {
  configuration: string;
  webhook: string;
  index: number;
  /** 1 when mutating webhooks are asked again. */
  round: 0 | 1;
}

/**
 * What the audit log says of one call of a webhook.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#mutating-webhook-auditing-annotations
 */
export class AuditNotes {
  readonly by: 'mutation' | 'validating';
  readonly #place: Place;
  readonly #options: WriteOptions;

  constructor(by: 'mutation' | 'validating', place: Place, options: WriteOptions) {
    this.by = by;
    this.#place = place;
    this.#options = options;
  }

  /** In its own words, each below its name. */
  said(annotations: Record<string, string> = {}): void {
    for (const [key, value] of Object.entries(annotations))
      this.#options.annotate?.(`${this.#place.webhook}/${key}`, value);
  }

  /** It could not be asked, and that did not matter. */
  failedOpen(): void {
    this.#options.annotate?.(`failed-open.${this.by}.webhook.${this.#key}`, this.#place.webhook);
    if (this.by === 'mutation') this.mutated(false);
  }

  mutated(mutated: boolean): void {
    this.#options.annotate?.(`mutation.webhook.${this.#key}`, JSON.stringify({ ...this.#who, mutated }));
  }

  /** Only where the log tells what requests said. */
  patched(patch: unknown): void {
    const told = { ...this.#who, patch, patchType: 'JSONPatch' };
    this.#options.annotate?.(`patch.webhook.${this.#key}`, JSON.stringify(told), 'Request');
  }

  get #key(): string {
    return `admission.k8s.io/round_${this.#place.round}_index_${this.#place.index}`;
  }

  get #who(): { configuration: string; webhook: string } {
    const { configuration, webhook } = this.#place;
    return { configuration, webhook };
  }
}
