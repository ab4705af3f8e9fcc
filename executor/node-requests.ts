import type { ServerResponse } from 'node:http';
import type { MetricsFacts } from './node-metrics.ts';

/** What the kubelet's port tells of the node as a whole. */
export interface NodeFacts extends MetricsFacts {
  /** What /configz shows: the settings this kubelet goes by. */
  configuration: object;
}

/** Loaded with the first question. */
const metrics = () => import('./node-metrics.ts');

type Answer = (facts: NodeFacts, query: URLSearchParams) => Promise<string | object> | string | object;

const answers: Readonly<Record<string, Answer>> = {
  '/healthz': () => 'ok',
  '/healthz/ping': () => 'ok',
  '/pods': ({ pods }) => ({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: pods.list() }),
  '/runningpods/': async ({ pods }) => ({
    kind: 'PodList',
    apiVersion: 'v1',
    metadata: {},
    items: await pods.running(),
  }),
  '/stats/summary': async (facts, query) =>
    (await import('./stats-summary.ts')).statsSummary(facts, query.get('only_cpu_and_memory') === 'true'),
  '/metrics': async (facts) => (await metrics()).kubeletMetrics(facts),
  '/metrics/cadvisor': async (facts) => (await import('./cadvisor-metrics.ts')).cadvisorMetrics(facts),
  '/metrics/resource': async (facts) => (await metrics()).resourceMetrics(facts),
  '/metrics/probes': async (facts) => (await metrics()).probeMetrics(facts),
  '/configz': ({ configuration }) => ({ kubeletconfig: configuration }),
};

/** Answers a question about the node, in time for who may be `gone`; false when it is none. Text is text, everything else JSON. */
export async function answerNode(
  facts: NodeFacts,
  url: URL,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<boolean> {
  if (url.pathname.startsWith('/debug/')) return answerProfile(url, response, gone);
  const answer = Object.hasOwn(answers, url.pathname) ? answers[url.pathname] : undefined;
  if (!answer) return false;
  const said = await answer(facts, url.searchParams);
  const type =
    typeof said !== 'string'
      ? 'application/json'
      : `text/plain; ${url.pathname.startsWith('/metrics') ? 'version=0.0.4; ' : ''}charset=utf-8`;
  response.writeHead(200, { 'content-type': type });
  response.end(typeof said === 'string' ? said : JSON.stringify(said));
  return true;
}

/** Of this process. */
async function answerProfile(url: URL, response: ServerResponse, gone: AbortSignal): Promise<boolean> {
  const { profileAt } = await import('../lib/profiling/profiling.ts'); // few nodes are ever asked for it
  const profile = await profileAt(url.pathname, url.searchParams, gone);
  if (!profile) return false;
  response.writeHead(profile.code, { ...profile.headers, 'content-type': profile.contentType });
  response.end(profile.body);
  return true;
}
