import { NodeMetrics, PodMetrics } from '../../api/kinds/metrics.ts';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { timestamp, type KubeObject } from '../../api/meta.ts';
import { delay } from '../../lib/delay.ts';
import type { Logger } from '../../lib/log.ts';
import type { Feed } from '../feed.ts';
import type { KubeletProxy } from '../subresources/kubelet-proxy.ts';
import { podUsages, usageOf, type Summary } from './summary.ts';

interface Sample {
  at: number;
  summary: Summary;
}

const freshMs = 10_000;
/** Between the first two samples of a node: one alone tells no rate. */
const firstWindowMs = 1000;
const patienceMs = 5000;
const atOnce = 16;

/** metrics.k8s.io, asked of the kubelets when somebody asks for it; nodes that do not answer are left out. */
export class ResourceMetrics {
  readonly #feed: Feed;
  readonly #kubelets: KubeletProxy;
  readonly #log: Logger;
  readonly #samples = new Map<string, { now: Sample; before: Sample | undefined }>();
  #asking: Promise<void> | undefined;

  constructor(feed: Feed, kubelets: KubeletProxy, log: Logger) {
    this.#feed = feed;
    this.#kubelets = kubelets;
    this.#log = log;
  }

  async nodes(): Promise<KubeObject[]> {
    await this.#sample();
    return this.#all().flatMap(({ name, now, before }) => {
      const usage = usageOf(now.summary.node, before?.summary.node);
      const { labels } = this.#feed.cache(Node).get(name)?.object.metadata ?? {};
      return usage ? [{ ...head(NodeMetrics, { name, ...(labels ? { labels } : {}) }, now, before), usage }] : [];
    });
  }

  async pods(): Promise<KubeObject[]> {
    await this.#sample();
    const cache = this.#feed.cache(Pod);
    return this.#all().flatMap(({ now, before }) =>
      podUsages(now.summary, before?.summary).flatMap(({ namespace, name, containers }) => {
        const pod = cache.get(`${namespace}/${name}`)?.object;
        if (!pod) return [];
        const { labels } = pod.metadata;
        return [{ ...head(PodMetrics, { name, namespace, ...(labels ? { labels } : {}) }, now, before), containers }];
      }),
    );
  }

  #all() {
    return [...this.#samples].map(([name, sample]) => ({ name, ...sample }));
  }

  /** Those who ask at once share one round; a round is not older than ten seconds. */
  #sample(): Promise<void> {
    this.#asking ??= this.#round().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #round(): Promise<void> {
    const names = this.#feed
      .cache(Node)
      .list()
      .map(({ key }) => key);
    for (const name of this.#samples.keys()) if (!names.includes(name)) this.#samples.delete(name);
    const old = names.filter((name) => (this.#samples.get(name)?.now.at ?? 0) < Date.now() - freshMs);
    if (old.length === 0) return;
    const isFirst = old.some((name) => !this.#samples.has(name));
    await this.#ask(old);
    if (!isFirst) return;
    await delay(firstWindowMs, new AbortController().signal);
    await this.#ask(old.filter((name) => this.#samples.get(name)?.before === undefined));
  }

  async #ask(names: readonly string[]): Promise<void> {
    const waiting = [...names];
    const work = async () => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
        try {
          const path = '/stats/summary?only_cpu_and_memory=true';
          const summary = (await this.#kubelets.read(name, path, AbortSignal.timeout(patienceMs))) as Summary;
          this.#samples.set(name, { now: { at: Date.now(), summary }, before: this.#samples.get(name)?.now });
        } catch (err) {
          this.#samples.delete(name);
          this.#log.debug({ err, node: name }, 'a kubelet did not tell what it uses');
        }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
  }
}

function head(
  kind: { kind: string; apiVersion: string },
  metadata: KubeObject['metadata'],
  now: Sample,
  before: Sample | undefined,
) {
  const seconds = before ? Math.max(1, Math.round((now.at - before.at) / 1000)) : 10;
  return {
    kind: kind.kind,
    apiVersion: kind.apiVersion,
    metadata: { ...metadata, creationTimestamp: timestamp(Date.now()) },
    timestamp: timestamp(now.at),
    window: `${seconds}s`,
  };
}
