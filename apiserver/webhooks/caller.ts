import { Agent, EnvHttpProxyAgent, request, type Dispatcher } from 'undici';
import { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { Service } from '../../api/kinds/service.ts';
import type { WebhookClientConfig } from '../../api/webhook.ts';
import type { Feed } from '../feed.ts';
import { Agents } from './agents.ts';

const maxAnswerBytes = 8 * 1024 * 1024;

interface Target {
  url: URL;
  /** Whom the certificate must name, where the address does not. */
  serverName: string | undefined;
}

/**
 * Calls webhooks: those of Services directly at one of their endpoints, as the cluster's own traffic; those of URLs through
 * the proxy that the environment names, if it names one. Always TLS, always against the CA of the configuration or the system's.
 */
export class WebhookCaller {
  readonly #feed: Feed;
  readonly #agents = new Agents();

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** Posts JSON and answers what came back; throws an Error that says what went wrong, in words for whoever made the request. */
  async post(config: WebhookClientConfig, body: unknown, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
    const { url, serverName } = this.#target(config);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    url.searchParams.set('timeout', `${Math.round(timeoutMs / 1000)}s`);
    try {
      const answer = await request(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, */*' },
        body: JSON.stringify(body),
        dispatcher: this.#agent(config, url, serverName),
        signal: limit,
      });
      const text = await answer.body.text();
      if (answer.statusCode < 200 || answer.statusCode > 299)
        throw new Error(`the server answered ${answer.statusCode}: ${text.slice(0, 200)}`);
      return JSON.parse(text) as unknown;
    } catch (error) {
      const why = limit.aborted && !signal.aborted ? 'context deadline exceeded' : wordsOf(error);
      throw new Error(`Post "${shownUrl(config, url)}": ${why}`, { cause: error });
    }
  }

  /** Ends connections that are kept open. */
  close(): Promise<void> {
    return this.#agents.destroy();
  }

  #agent(config: WebhookClientConfig, { origin }: URL, serverName: string | undefined): Dispatcher {
    const key = `${origin} ${serverName} ${config.caBundle}`;
    return this.#agents.get(key, () => {
      const ca = config.caBundle ? Buffer.from(config.caBundle, 'base64').toString() : undefined;
      const connect = { ...(ca ? { ca } : {}), ...(serverName ? { servername: serverName } : {}) };
      const options = { connect, maxResponseSize: maxAnswerBytes, pipelining: 1 };
      return config.service ? new Agent(options) : new EnvHttpProxyAgent({ ...options, requestTls: connect });
    });
  }

  #target({ url, service }: WebhookClientConfig): Target {
    if (url !== undefined) return { url: new URL(url), serverName: undefined };
    if (!service) throw new Error('the webhook names neither a url nor a service');
    const { namespace, name, path = '', port = 443 } = service;
    const { host, port: at } = endpointOf(this.#feed, namespace, name, port);
    const shown = host.includes(':') ? `[${host}]` : host;
    return { url: new URL(`https://${shown}:${at}${path}`), serverName: `${name}.${namespace}.svc` };
  }
}

const shownUrl = ({ service }: WebhookClientConfig, url: URL): string =>
  service
    ? `https://${service.name}.${service.namespace}.svc:${service.port ?? 443}${url.pathname}${url.search}`
    : url.href;

const wordsOf = (error: unknown): string => {
  const { message, code } = error as { message?: string; code?: string };
  return message || code || String(error);
};

/** Where one ready endpoint of a Service listens; throws an Error when there is none. */
export function endpointOf(feed: Feed, namespace: string, name: string, port: number): { host: string; port: number } {
  const service = feed.cache(Service).get(`${namespace}/${name}`)?.object as Service | undefined;
  if (!service) throw new Error(`service "${name}" not found`);
  const own = service.spec.ports?.find((one) => one.port === port);
  if (!own) throw new Error(`no service port ${port} found for service "${name}"`);
  if (service.spec.type === 'ExternalName') return { host: service.spec.externalName ?? '', port };
  const found = feed
    .cache(EndpointSlice)
    .list(namespace)
    .map(({ object }) => object as EndpointSlice)
    .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name)
    .flatMap(({ endpoints = [], ports = [] }) => {
      const at = ports?.find((one) => (one.name ?? '') === (own.name ?? ''))?.port;
      const ready = (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false);
      return at === undefined ? [] : ready.flatMap(({ addresses }) => addresses.map((host) => ({ host, port: at })));
    });
  if (found.length === 0) throw new Error(`no endpoints available for service "${name}"`);
  return found[Math.floor(Math.random() * found.length)]!;
}
