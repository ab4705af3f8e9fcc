import { Counter, Gauge, Histogram, Registry as Metrics, collectDefaultMetrics } from 'prom-client';
import type { Feed } from './feed.ts';

interface Labels {
  verb: string;
  group: string;
  version: string;
  resource: string;
  subresource: string;
  scope: string;
}

const labelNames = ['verb', 'group', 'version', 'resource', 'subresource', 'scope'] as const;
const longRunning = new Set(['WATCH', 'CONNECT']);

/** Makes the text that is shown of the figures of this process, and maybe of others. */
export type Gather = (own: Metrics) => () => Promise<string>;

/** The server's figures, under the names Kubernetes uses. */
export class ServerMetrics {
  readonly registry = new Metrics();
  /** All of them, as Prometheus reads them. */
  readonly text: () => Promise<string>;
  readonly #total: Counter;
  readonly #duration: Histogram;
  readonly #inflight: Gauge;
  readonly #long: Gauge;

  constructor(feed: Feed, gather: Gather = (own) => () => own.metrics()) {
    const registers = [this.registry];
    this.text = gather(this.registry);
    collectDefaultMetrics({ register: this.registry });
    this.#total = new Counter({
      name: 'apiserver_request_total',
      help: 'Requests by verb, resource and HTTP response code.',
      labelNames: [...labelNames, 'code'],
      registers,
    });
    this.#duration = new Histogram({
      name: 'apiserver_request_duration_seconds',
      help: 'Response latency in seconds.',
      labelNames: [...labelNames],
      buckets: [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 4, 5, 10, 30, 60],
      registers,
    });
    this.#inflight = new Gauge({
      name: 'apiserver_current_inflight_requests',
      help: 'Requests that are being served.',
      labelNames: ['request_kind'],
      registers,
    });
    this.#long = new Gauge({
      name: 'apiserver_longrunning_requests',
      help: 'Watches and connections that are open.',
      labelNames: [...labelNames],
      registers,
    });
    new Gauge({
      name: 'apiserver_storage_objects',
      help: 'Objects by resource.',
      labelNames: ['resource'],
      registers,
      // Every process sees the same objects.
      aggregator: 'max',
      collect() {
        for (const { kind, size } of feed.caches)
          this.set({ resource: kind.group ? `${kind.plural}.${kind.group}` : kind.plural }, size);
      },
    });
  }

  /** Counts a request that begins; the answer counts its end. */
  begin(verb: string, labels: Omit<Labels, 'verb'>): (code: number) => void {
    const all = { verb: shownVerbs[verb] ?? verb.toUpperCase(), ...labels };
    const started = performance.now();
    const isLong = longRunning.has(all.verb);
    const gauge = isLong
      ? this.#long.labels({ ...all })
      : this.#inflight.labels(isRead(verb) ? 'readOnly' : 'mutating');
    gauge.inc();
    return (code) => {
      gauge.dec();
      this.#total.inc({ ...all, code: String(code) });
      if (!isLong) this.#duration.observe({ ...all }, (performance.now() - started) / 1000);
    };
  }
}

/** Where the figures call a verb otherwise: by the method of HTTP. */
const shownVerbs: Readonly<Record<string, string>> = { create: 'POST', update: 'PUT' };

const isRead = (verb: string): boolean => verb === 'get' || verb === 'list';
