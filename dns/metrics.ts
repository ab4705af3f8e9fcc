import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Observed } from './server.ts';

/** Types that have a label of their own, as CoreDNS has them; others are `other`. */
const types = new Set([
  'A',
  'AAAA',
  'CAA',
  'CNAME',
  'MX',
  'NS',
  'PTR',
  'SOA',
  'SRV',
  'TXT',
  'ANY',
  'HTTPS',
  'DS',
  'DNSKEY',
]);
const seconds = Array.from({ length: 16 }, (_, i) => 0.00025 * 2 ** i);
const bytes = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3];

/** Under the names that dashboards for CoreDNS know: https://coredns.io/plugins/metrics/ */
export class DnsMetrics {
  readonly registry = new Registry();
  readonly #server: string;
  readonly #requests = new Counter({
    name: 'coredns_dns_requests_total',
    help: 'Queries, by zone, protocol, family and type.',
    labelNames: ['server', 'zone', 'view', 'proto', 'family', 'type'],
    registers: [this.registry],
  });
  readonly #responses = new Counter({
    name: 'coredns_dns_responses_total',
    help: 'Answers, by their code.',
    labelNames: ['server', 'zone', 'view', 'rcode', 'plugin'],
    registers: [this.registry],
  });
  readonly #duration = new Histogram({
    name: 'coredns_dns_request_duration_seconds',
    help: 'How long an answer took.',
    labelNames: ['server', 'zone', 'view'],
    buckets: seconds,
    registers: [this.registry],
  });
  readonly #size = new Histogram({
    name: 'coredns_dns_response_size_bytes',
    help: 'How large answers are.',
    labelNames: ['server', 'zone', 'view', 'proto'],
    buckets: bytes,
    registers: [this.registry],
  });
  readonly #hits = new Counter({
    name: 'coredns_cache_hits_total',
    help: 'Answers of other servers that were kept.',
    labelNames: ['server'],
    registers: [this.registry],
  });
  readonly #misses = new Counter({
    name: 'coredns_cache_misses_total',
    help: 'Questions that other servers were asked.',
    labelNames: ['server'],
    registers: [this.registry],
  });

  /** `server`: where it answers, `dns://127.0.0.1:53`. `entries` counts answers of others that are kept. */
  constructor(server: string, entries: () => number) {
    this.#server = server;
    collectDefaultMetrics({ register: this.registry });
    new Gauge({
      name: 'coredns_cache_entries',
      help: 'Answers of other servers that are kept.',
      labelNames: ['server'],
      registers: [this.registry],
      collect() {
        this.set({ server }, entries());
      },
    });
  }

  answered({ zone, proto, family, type, rcode, seconds: took, bytes: size }: Observed): void {
    const common = { server: this.#server, zone, view: '' };
    this.#requests.inc({ ...common, proto, family, type: types.has(type) ? type : 'other' });
    this.#responses.inc({ ...common, rcode, plugin: zone === '.' ? 'forward' : 'kubernetes' });
    this.#duration.observe(common, took);
    this.#size.observe({ ...common, proto }, size);
  }

  asked(isHit: boolean): void {
    (isHit ? this.#hits : this.#misses).inc({ server: this.#server });
  }
}
