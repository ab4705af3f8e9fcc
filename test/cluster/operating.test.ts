import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { chromium, type Browser, type Page } from 'playwright-core';
import { Agent } from 'undici';
import { parse } from 'yaml';
import { Pod } from '../../api/kinds/pod.ts';
import { freePort } from '../../cli/ports.ts';
import { eventually } from '../eventually.ts';
import { startTestCluster, type TestCluster } from './harness.ts';

/** More than each agent of the try-out has. */
const larger = 'cpus:32;mem:65536;disk:102400;ports:[1024-65535]';

let cluster: TestCluster;
let origin: string;
let asAdmin: Agent;
let asNobody: Agent;

beforeAll(async () => {
  const port = await freePort();
  origin = `https://127.0.0.1:${port}`;
  const door = ['--port', String(port), '--bind-address', '127.0.0.1'];
  cluster = await startTestCluster({ flags: { scheduler: [...door, '--volume-audit', '500ms'] } });
  const { user } = (parse(readFileSync(cluster.kubeconfig, 'utf8')) as { users: { user: Record<string, string> }[] })
    .users[0]!;
  const pem = (name: string) => Buffer.from(user[name]!, 'base64');
  const admin = { cert: pem('client-certificate-data'), key: pem('client-key-data') };
  asAdmin = new Agent({ connect: { rejectUnauthorized: false, ...admin } });
  asNobody = new Agent({ connect: { rejectUnauthorized: false } });
}, 120_000);
afterAll(async () => {
  await asAdmin.destroy();
  await asNobody.destroy();
  await cluster.stop();
}, 60_000);

async function ask(path: string, method: 'GET' | 'POST' = 'GET', dispatcher = asAdmin) {
  const { statusCode, body } = await dispatcher.request({ origin, path, method });
  return { code: statusCode, text: await body.text() };
}
const json = async <T>(path: string): Promise<T> => JSON.parse((await ask(path)).text) as T;
const pod = (name: string, spec: object = {}): Pod => ({
  metadata: { name, namespace: 'default' },
  spec: { containers: [{ name: 'c', image: 'none', command: ['sleep', '600'] }], ...spec },
});

test('the scheduler tells how it is, and what it did, to whom may know', async () => {
  expect(await ask('/healthz', 'GET', asNobody)).toEqual({ code: 200, text: 'ok' });
  expect((await ask('/debug/offers', 'GET', asNobody)).code).toBe(401);
  await cluster.client.create(Pod, pod('counted'));
  await eventually(async () => {
    const { text } = await ask('/metrics');
    expect(text).toMatch(/^scheduler_schedule_attempts_total\{profile="default-scheduler",result="scheduled"\} 1$/m);
    expect(text).toMatch(/^scheduler_pod_scheduling_attempts_count 1$/m);
    expect(text).toMatch(/^mesos_offers_received\{hostname="[^"]+"\} [1-9]/m);
    expect(text).toMatch(/^mesos_offers_acquired\{hostname="[^"]+"\} 1$/m);
    expect(text).toMatch(/^km_mesos_pods_per_accept_count 1$/m);
    expect(text).toMatch(/^km_mesos_launch_seconds_count 1$/m);
    expect(text).toMatch(/^mesos_scheduler_status_updates\{.*state="TASK_STARTING"\} 1$/m);
    expect(text).toMatch(/^km_mesos_subscribed 1$/m);
  }, 20_000);
  const tasks = await json<{ pod: string; stage: string; node: string }[]>('/debug/registry/tasks');
  expect(tasks).toEqual([expect.objectContaining({ pod: 'default/counted', stage: 'bound' })]);
  const { history } = await json<{ history: { fate: string; heldMs: number }[] }>('/debug/offers');
  expect(history).toContainEqual(expect.objectContaining({ fate: 'accepted', heldMs: expect.any(Number) }));
  const agents = await json<{ node: string; pods: number; executor: boolean }[]>('/debug/agents');
  expect(agents).toContainEqual(expect.objectContaining({ node: tasks[0]!.node, pods: 1, executor: true }));
});

test('a pod that waits is explained node by node; one behind a gate says so itself', async () => {
  await cluster.client.create(Pod, pod('elsewhere', { nodeSelector: { disk: 'ssd' } }));
  await cluster.client.create(Pod, pod('gated', { schedulingGates: [{ name: 'later' }] }));
  await eventually(async () => {
    const queue = await json<{ pod: string; part: string; said?: string }[]>('/debug/scheduler/podqueue');
    expect(queue).toEqual([
      expect.objectContaining({ pod: 'default/elsewhere', said: expect.stringMatching(/^0\/\d+ nodes are available/) }),
    ]);
  }, 20_000);
  const explained = await json<{ nodes: object[] }>('/debug/scheduler/explain?pod=elsewhere');
  expect(explained).toMatchObject({ pod: 'default/elsewhere', schedulerName: 'default-scheduler' });
  expect(explained.nodes[0]).toMatchObject({
    refused: { NodeAffinity: expect.stringContaining("didn't match Pod's node affinity/selector") },
  });
  const placed = await json<{ placedOn: string; nodes: { total: number; scores: object }[] }>(
    '/debug/scheduler/explain?pod=default/counted',
  );
  expect(placed.placedOn).toMatch(/./);
  expect((await ask('/debug/scheduler/explain?pod=nobody')).code).toBe(404);
  await eventually(async () =>
    expect((await ask('/metrics')).text).toMatch(/^scheduler_pending_pods\{queue="gated"\} 1$/m),
  );
  expect((await cluster.client.get(Pod, { namespace: 'default', name: 'gated' })).status?.conditions).toEqual([
    expect.objectContaining({ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }),
  ]);
  expect(await cluster.kubectl.run('get', 'pod', 'gated')).toContain('SchedulingGated');
});

test('the master is asked about tasks when an operator wants it', async () => {
  expect((await ask('/debug/actions/requestExplicit')).code).toBe(405);
  expect(await ask('/debug/actions/requestExplicit', 'POST')).toEqual({
    code: 200,
    text: 'asked the master about 1 tasks\n',
  });
  expect((await ask('/debug/actions/requestImplicit', 'POST')).code).toBe(200);
  await eventually(async () => {
    const { text } = await ask('/metrics');
    expect(text).toMatch(/^mesos_scheduler_reconciliation_executed\{kind="explicit"\} [1-9]/m);
    expect(text).toMatch(/^mesos_scheduler_status_updates\{.*reason="REASON_RECONCILIATION".*\} [1-9]/m);
  });
});

test('an agent that comes back with more makes its node larger, for kubectl and for the scheduler', async () => {
  const { node } = (await json<{ node: string; executor: boolean }[]>('/debug/agents')).find((one) => one.executor)!;
  const body = JSON.stringify({ fault: 'restartAgent', agent: node, resources: larger });
  const headers = { 'content-type': 'application/json' };
  const { status } = await fetch(`${cluster.masterUrl}/devcluster/faults`, { method: 'POST', headers, body });
  expect(status).toBe(200);
  await eventually(async () => {
    expect(await cluster.kubectl.run('get', 'node', node, '-o', 'jsonpath={.status.capacity.cpu}')).toBe('32');
    const agents = await json<{ node: string; allocatable: { cpu: number } }[]>('/debug/agents');
    expect(agents.find((one) => one.node === node)?.allocatable.cpu).toBe(31_900);
  }, 20_000);
});

describe('the page', () => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    // Without its calls home, which find no network here.
    const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'];
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args });
    const password = readFileSync(join(cluster.dir, 'pki', 'page-token'), 'utf8').trim();
    const context = await browser.newContext({
      ignoreHTTPSErrors: true,
      httpCredentials: { username: 'anybody', password },
      viewport: { width: 1100, height: 800 },
    });
    page = await context.newPage();
  }, 60_000);
  afterAll(() => browser.close());

  test('is for whom may get it', async () => {
    const { code } = await ask('/ui/', 'GET', asNobody);
    expect(code).toBe(401);
    const password = readFileSync(join(cluster.dir, 'pki', 'page-token'), 'utf8').trim();
    const headers = { authorization: `Basic ${Buffer.from(`x:${password}`).toString('base64')}` };
    const get = async (path: string) => {
      const { statusCode, body } = await asNobody.request({ origin, path, method: 'GET', headers });
      await body.dump();
      return statusCode;
    };
    expect([await get('/ui/'), await get('/metrics'), await get('/debug/offers')]).toEqual([200, 403, 403]);
  });

  test('shows nodes with their shares, who waits and why, and what was launched, without being asked again', async () => {
    const failures: string[] = [];
    page.on('pageerror', ({ message }) => failures.push(message));
    page.on('requestfailed', (request) => failures.push(request.url()));
    await page.goto(`${origin}/ui/`);
    const summary = page.locator('#summary');
    await summary.filter({ hasText: /^\d nodes, 1 pods, 1 waiting$/ }).waitFor();
    await page.locator('#waiting tr', { hasText: 'default/elsewhere' }).getByText('0/').waitFor();
    await page.locator('#launches tr', { hasText: 'counted.default.pod' }).getByText('TASK_STARTING').waitFor();
    const [bar] = await page.locator('.node', { hasText: '1 pods' }).getByRole('img').all();
    expect(await bar!.getAttribute('aria-label')).toMatch(
      /^cpu: 0\.25 cores in pods, 0\.1 cores km itself, .* of \d+ cores$/,
    );
    await cluster.client.create(Pod, pod('late'));
    await page.locator('#launches tr', { hasText: 'late.default.pod' }).waitFor();
    await summary.filter({ hasText: '2 pods' }).waitFor();
    expect(failures).toEqual([]);
  }, 30_000);

  test('can be walked with the keyboard, and searched', async () => {
    await page.locator('#filter').fill('default/counted');
    await page.locator('.node').nth(1).waitFor({ state: 'detached' });
    await page.locator('#filter').press('Tab');
    await page.keyboard.press('Enter');
    await page.locator('.node[open] li', { hasText: 'default/counted – Running' }).waitFor();
    // What comes meanwhile closes nothing and takes no focus away.
    await cluster.client.create(Pod, pod('later'));
    await page.locator('#launches tr', { hasText: 'later.default.pod' }).waitFor();
    expect(await page.locator('.node[open]').count()).toBe(1);
    expect(await page.evaluate('document.activeElement.tagName')).toBe('SUMMARY');
    if (process.env['KM_SCREENSHOTS']) {
      await page.locator('#filter').fill('');
      await page.screenshot({ path: join(process.env['KM_SCREENSHOTS'], 'page.png') });
    }
  }, 30_000);
});
