import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Under the names that dashboards for kube-proxy know. */
export class ProxyMetrics {
  readonly registry = new Registry();
  readonly duration = new Histogram({
    name: 'kubeproxy_sync_proxy_rules_duration_seconds',
    help: 'How long it took to put changed rules in place.',
    buckets: [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384],
    registers: [this.registry],
  });
  readonly last = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
    help: 'When rules were last put in place.',
    registers: [this.registry],
  });
  readonly services = new Counter({
    name: 'kubeproxy_sync_proxy_rules_service_changes_total',
    help: 'Changes of Services seen.',
    registers: [this.registry],
  });
  readonly endpoints = new Counter({
    name: 'kubeproxy_sync_proxy_rules_endpoint_changes_total',
    help: 'Changes of EndpointSlices seen.',
    registers: [this.registry],
  });
  readonly failures: Counter;

  constructor(mode: string) {
    const what = mode === 'iptables' ? 'iptables_restore' : `${mode}_sync`;
    this.failures = new Counter({
      name: `kubeproxy_sync_proxy_rules_${what}_failures_total`,
      help: 'Attempts to put rules in place that were refused.',
      registers: [this.registry],
    });
    collectDefaultMetrics({ register: this.registry });
  }
}
