import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { askMaster } from '../../mesos/operator.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

const rack = 'k8s.mesosphere.io/attribute-rack';

let cluster: TestCluster;
beforeAll(async () => {
  // What nobody can use is seen at the master for a while, and comes again soon.
  cluster = await startTestCluster({ flags: { scheduler: ['--refuse-waiting', '100ms', '--offer-linger', '700ms'] } });
}, 90_000);
afterAll(() => cluster?.stop(), 60_000);

const pod = (name: string, cpu: string, more = '') => `
apiVersion: v1
kind: Pod
metadata: { name: ${name} }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - { name: main, image: 'k8s.test/busybox:1', command: [sleep, '1000'], resources: { requests: { cpu: ${cpu} } } }
${more}`;
const apply = async (text: string) =>
  expect(await cluster.kubectl.feed(text, 'apply', '-f', '-')).toMatchObject({ stderr: '', code: 0 });

async function constraints() {
  const { get_frameworks } = await askMaster({ url: cluster.masterUrl }, { type: 'GET_FRAMEWORKS' });
  return get_frameworks.frameworks?.[0]?.offer_constraints?.role_constraints;
}

/** The host names of agents that are being offered: there is nobody else but us. */
async function offered(): Promise<string[]> {
  const { get_agents } = await askMaster({ url: cluster.masterUrl }, { type: 'GET_AGENTS' });
  const some = (get_agents.agents ?? []).filter(({ offered_resources = [] }) => offered_resources.length > 0);
  return some.map(({ agent_info }) => agent_info.hostname);
}

test('agents that no waiting pod can use are offered to us only while one waits that can', async () => {
  await apply(pod('choosy', '100', `  nodeSelector: { ${rack}: r1 }\n`));
  const selector = { attribute_name: 'rack' };
  const onRack = { attribute_constraints: [{ selector, predicate: { text_equals: { value: 'r1' } } }] };
  await eventually(async () => expect(await constraints()).toEqual({ kubernetes: { groups: [onRack] } }), 20_000);

  // What was offered before is gone once the others have been given back.
  await eventually(async () => expect(await offered()).toEqual(['agent-1']), 20_000);
  let turns = 0;
  let before = '';
  const strays = new Set<string>();
  await eventually(async () => {
    const now = await offered();
    for (const host of now) if (host !== 'agent-1') strays.add(host);
    if (now.join() !== before) turns += 1;
    before = now.join();
    expect(turns).toBeGreaterThan(8);
  }, 30_000);
  expect([...strays]).toEqual([]);
  expect(await cluster.kubectl.run('describe', 'pod', 'choosy')).toMatch(
    /2 node\(s\) didn't match Pod's node affinity\/selector/,
  );

  // Five cores are on the second agent only.
  await apply(pod('any', '5'));
  await cluster.kubectl.run('wait', '--for=condition=Ready', 'pod/any', '--timeout=40s');
  await eventually(async () => expect(await constraints()).toEqual({ kubernetes: { groups: [onRack] } }), 20_000);
  await cluster.kubectl.run('delete', 'pod', 'choosy', '--wait=false');
  await apply(pod('another', '100'));
  await eventually(async () => expect((await constraints()) ?? {}).toEqual({}), 20_000);
}, 150_000);
