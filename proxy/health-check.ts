import type { Logger } from '../lib/log.ts';
import { serveHttp, type HttpServer } from '../lib/serve-http.ts';
import { familyOf, type Plan } from './rules.ts';

interface Check {
  service: string;
  /** Addresses of endpoints on this node that are ready: for those that end no balancer should choose it any more. */
  local: number;
}

/** What each health-check node port has to say. */
export function checksOf(plan: Plan): Map<number, Check> {
  const found = new Map<number, { service: string; addresses: Set<string> }>();
  for (const { healthCheckNodePort: port, service, localReady } of plan.values()) {
    if (!port) continue;
    const check = found.get(port) ?? { service, addresses: new Set() };
    found.set(port, check);
    if (check.service === service) for (const address of localReady) check.addresses.add(address);
  }
  return new Map([...found].map(([port, { service, addresses }]) => [port, { service, local: addresses.size }]));
}

/**
 * Answers load balancers on spec.healthCheckNodePort: 200 where this node has ready endpoints of the Service, else 503.
 * https://kubernetes.io/docs/tasks/access-application-cluster/create-external-load-balancer/
 */
export class HealthChecks {
  readonly #host: string;
  readonly #healthy: () => boolean;
  readonly #log: Logger;
  readonly #servers = new Map<number, HttpServer>();
  #checks: ReadonlyMap<number, Check> = new Map();

  constructor(host: string, healthy: () => boolean, log: Logger) {
    this.#host = host;
    this.#healthy = healthy;
    this.#log = log;
  }

  async update(checks: ReadonlyMap<number, Check>): Promise<void> {
    this.#checks = checks;
    for (const [port, server] of this.#servers)
      if (!checks.has(port)) {
        this.#servers.delete(port);
        await server.close();
      }
    for (const port of checks.keys()) if (!this.#servers.has(port)) await this.#listen(port);
  }

  async close(): Promise<void> {
    await this.update(new Map());
  }

  async #listen(port: number): Promise<void> {
    const host = familyOf(this.#host) === 6 ? `[${this.#host}]` : this.#host;
    try {
      const answer = () => this.#answer(port);
      this.#servers.set(port, await serveHttp(`${host}:${port}`, { '/': answer, '/healthz': answer }));
    } catch (err) {
      this.#log.warn(
        { err, service: this.#checks.get(port)?.service, port },
        'a health-check node port cannot be served',
      );
    }
  }

  #answer(port: number) {
    const { service, local } = this.#checks.get(port) ?? { service: '/', local: 0 };
    const [namespace, name] = service.split('/');
    const healthy = this.#healthy();
    return {
      code: local > 0 && healthy ? 200 : 503,
      headers: { 'X-Content-Type-Options': 'nosniff', 'X-Load-Balancing-Endpoint-Weight': String(local) },
      body: { service: { namespace, name }, localEndpoints: local, serviceProxyHealthy: healthy },
    };
  }
}
