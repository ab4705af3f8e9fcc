/** One probe of one container. */
export interface ProbeLabels {
  probe_type: string;
  container: string;
  pod: string;
  namespace: string;
  pod_uid: string;
}

/** How often the probes of this node's pods ended how, for /metrics/probes. */
export class ProbeCounts {
  readonly #counts = new Map<string, { labels: ProbeLabels & { result: string }; value: number }>();

  add(labels: ProbeLabels, result: 'successful' | 'failed' | 'unknown'): void {
    const key = [labels.pod_uid, labels.container, labels.probe_type, result].join('/');
    const known = this.#counts.get(key);
    if (known) known.value += 1;
    else this.#counts.set(key, { labels: { ...labels, probe_type: capital(labels.probe_type), result }, value: 1 });
  }

  /** The pod is gone. */
  forget(uid: string): void {
    for (const key of this.#counts.keys()) if (key.startsWith(`${uid}/`)) this.#counts.delete(key);
  }

  all(): Iterable<{ labels: Record<string, string>; value: number }> {
    return [...this.#counts.values()].map(({ labels, value }) => ({ labels: { ...labels }, value }));
  }
}

const capital = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}`;
