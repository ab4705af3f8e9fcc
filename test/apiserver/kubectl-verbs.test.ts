import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startControllers } from '../controllers/harness.ts';
import { eventually } from '../eventually.ts';
import { kubectls, runKubectl } from './kubectls.ts';
import { makeNodes, settle } from './trace-replay.ts';

let cluster: Awaited<ReturnType<typeof startControllers>>;
const home = mkdtempSync(join(tmpdir(), 'km-kubectl-'));
beforeAll(async () => {
  // Nobody renews the leases of these nodes.
  cluster = await startControllers({ nodeMonitorGracePeriod: 3_600_000 });
  await makeNodes(cluster.server);
});
afterAll(async () => {
  await cluster.stop();
  rmSync(home, { recursive: true, force: true });
});

const script = (name: string, text: string): string => {
  const path = join(home, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
};

const configMap = (data: object) =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data });
const deployment = (image: string, replicas = 2) =>
  JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', labels: { app: 'web' } },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image }] } },
    },
  });

const all = kubectls();
const ends = [...new Set([all[0]!, all.at(-1)!])];

describe.each(ends.map((path) => [path.split('/').at(-1)!, path]))('%s', (name, path) => {
  const namespace = `verbs-${name.replaceAll('.', '-')}`;
  const run = (args: string[], input = '', env: Record<string, string> = {}) =>
    runKubectl(path, ['-n', namespace, ...args], {
      input,
      env: { HOME: home, KUBECONFIG: cluster.server.kubeconfig, ...env },
    });
  /** Runs a command that must succeed; gives what it printed. */
  const k = async (command: string, input = '', env: Record<string, string> = {}): Promise<string> => {
    const { code, out, err } = await run(command.split(' '), input, env);
    if (code !== 0) throw new Error(`${name} ${command}: ${err}${out}`);
    return out.trim();
  };
  const settled = () => settle(cluster.server, namespace);
  beforeAll(async () => {
    await k(`create namespace ${namespace}`);
  });

  test('apply tells conflicts, diff tells differences, edit and replace change', async () => {
    expect(await k('apply -f -', configMap({ a: '1' }))).toBe('configmap/c created');
    const diff = await run(['diff', '-f', '-'], configMap({ a: '2' }));
    expect([diff.code, diff.out]).toEqual([1, expect.stringMatching(/^-  a: "1"\n\+  a: "2"$/m)]);
    expect((await run(['diff', '-f', '-'], configMap({ a: '1' }))).code).toBe(0);
    expect(await k('apply --server-side --field-manager=other --force-conflicts -f -', configMap({ a: '3' }))).toBe(
      'configmap/c serverside-applied',
    );
    const conflict = await run(['apply', '--server-side', '-f', '-'], configMap({ a: '4' }));
    expect(conflict.code).toBe(1);
    expect(conflict.err).toContain('conflict with "other": .data.a');
    expect(await k('apply --server-side --force-conflicts --dry-run=server -f -', configMap({ a: '5' }))).toContain(
      'serverside-applied (server dry run)',
    );
    expect(await k('get cm c -o jsonpath={.data.a}')).toBe('3');
    const EDITOR = script('edit', `sed -i 's/a: "3"/a: "edited"/' "$1"`);
    expect(await k('edit cm c', '', { EDITOR })).toBe('configmap/c edited');
    expect(await k('get cm c -o jsonpath={.data.a}')).toBe('edited');
    expect(await k('replace -f -', configMap({ b: '1' }))).toBe('configmap/c replaced');
    const uid = await k('get cm c -o jsonpath={.metadata.uid}');
    expect(await k('replace --force -f -', configMap({ b: '2' }))).toContain('configmap/c replaced');
    expect(await k('get cm c -o jsonpath={.metadata.uid}')).not.toBe(uid);
  });

  test('rollouts go on, back, pause and restart', async () => {
    await k('apply -f -', deployment('nginx:1'));
    await settled();
    expect(await k('rollout status deploy/web --timeout=10s')).toContain('successfully rolled out');
    expect(await k('set image deploy/web c=nginx:2')).toBe('deployment.apps/web image updated');
    await settled();
    expect(await k('set env deploy/web A=b')).toBe('deployment.apps/web env updated');
    await settled();
    expect(await k('set resources deploy/web --limits=cpu=200m')).toBe(
      'deployment.apps/web resource requirements updated',
    );
    await settled();
    expect(await k('rollout history deploy/web')).toMatch(/^1 +.*\n2 +.*\n3 +.*\n4 +/m);
    expect(await k('rollout history deploy/web --revision=2')).toContain('nginx:2');
    expect(await k('rollout undo deploy/web --to-revision=1')).toBe('deployment.apps/web rolled back');
    expect(await k('get deploy web -o jsonpath={.spec.template.spec.containers[0].image}')).toBe('nginx:1');
    await settled();
    expect(await k('rollout restart deploy/web')).toBe('deployment.apps/web restarted');
    await settled();
    expect(await k('rollout pause deploy/web')).toBe('deployment.apps/web paused');
    const again = await run(['rollout', 'pause', 'deploy/web']);
    expect(again.err).toContain('already paused');
    expect(await k('rollout resume deploy/web')).toBe('deployment.apps/web resumed');
    await settled();
    expect(await k('autoscale deploy/web --min=1 --max=3 --cpu-percent=80')).toContain('autoscaled');
    expect(await k('get hpa web --no-headers')).toMatch(/^web +Deployment\/web +\S.*80% +1 +3 +\d+/);
    expect(await k('expose deploy/web --port=80')).toBe('service/web exposed');
    expect(await k('scale deploy/web --replicas=3 --current-replicas=2')).toBe('deployment.apps/web scaled');
    expect((await run(['scale', 'deploy/web', '--replicas=4', '--current-replicas=9'])).err).toMatch(
      /[Ee]xpected replicas to be 9/,
    );
    await settled();
  });

  test('every kind of patch, label and annotation', async () => {
    await k('create cm p --from-literal=a=1');
    expect(await k('patch cm p --type=merge -p {"data":{"b":"2"}}')).toBe('configmap/p patched');
    expect(await k('patch cm p -p {"data":{"a":null}}')).toBe('configmap/p patched');
    expect(await k('patch cm p --type=json -p [{"op":"add","path":"/data/c","value":"3"}]')).toBe(
      'configmap/p patched',
    );
    expect(await k('get cm p -o jsonpath={.data}')).toBe('{"b":"2","c":"3"}');
    expect(
      (await run(['patch', 'cm', 'p', '--type=json', '-p', '[{"op":"test","path":"/data/c","value":"4"}]'])).code,
    ).toBe(1);
    expect(await k('patch cm p --type=merge -p {"data":{"c":"3"}}')).toBe('configmap/p patched (no change)');
    expect(await k('label cm p x=y')).toBe('configmap/p labeled');
    expect((await run(['label', 'cm', 'p', 'x=z'])).err).toContain('--overwrite');
    expect(await k('label cm p x=z --overwrite')).toContain('labeled');
    expect(await k('label cm p x-')).toMatch(/unlabeled|labeled/);
    expect(await k('annotate cm p note=hi')).toMatch(/annotated?$/);
    expect(await k('get cm -l x=z -o name')).toBe('');
  });

  test('nodes are tainted, cordoned and drained', async () => {
    expect(await k('taint nodes tn-a k=v:NoSchedule')).toBe('node/tn-a tainted');
    expect(await k('taint nodes tn-a k-')).toBe('node/tn-a untainted');
    expect(await k('cordon tn-a')).toBe('node/tn-a cordoned');
    expect(await k('get node tn-a --no-headers')).toMatch(/^tn-a +Ready,SchedulingDisabled +worker/);
    expect(await k('drain tn-a --ignore-daemonsets --force --dry-run=server')).toContain('(server dry run)');
    const spec = { nodeName: 'tn-a', containers: [{ name: 'c', image: 'c' }] };
    const there = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'there' }, spec };
    await k('create -f -', JSON.stringify(there));
    const drained = await k('drain tn-a --ignore-daemonsets --force --grace-period=0 --timeout=15s');
    expect(drained).toContain('pod/there evicted');
    expect(drained).toContain('node/tn-a drained');
    expect(await k('uncordon tn-a')).toBe('node/tn-a uncordoned');
    await settled();
  });

  test('waits, deletes with what depends or without it', async () => {
    await k('wait --for=condition=Available deploy/web --timeout=10s');
    await k('run solo --image=busybox --restart=Never');
    await settled();
    await k('wait --for=condition=Ready pod/solo --timeout=10s');
    expect(await k('delete pod solo --grace-period=0 --force')).toContain('pod "solo" force deleted');
    expect(await k('delete deploy web --cascade=orphan')).toContain('deleted');
    const replicaSets = await k('get rs -l app=web -o name');
    expect(replicaSets).not.toBe('');
    const deleting = k('delete rs -l app=web --cascade=foreground --timeout=15s');
    await eventually(async () => {
      await settled();
      expect(await k('get rs -l app=web -o name')).toBe('');
    });
    await deleting;
    expect(await k('get pods -l app=web -o name')).toBe('');
  });

  test('says who one is, what one may and what there is', async () => {
    expect(await k('auth can-i --list')).toMatch(/^\*\.\* +\[\] +\[\] +\[\*\]$/m);
    expect((await run(['auth', 'can-i', 'get', 'pods', '--as=jane'])).out.trim()).toBe('no');
    // Before 1.28 kubectl asked for a beta version of this, which is gone.
    if (Number(name.split('.')[2] ?? 0) >= 28)
      expect(await k('auth whoami')).toMatch(/Username +admin\nGroups +\[system:masters system:authenticated\]/);
    expect(await k('api-versions')).toMatch(/^apps\/v1$/m);
    expect(await k('get --raw /api/v1/namespaces/default?pretty=false')).toContain('"kind":"Namespace"');
    expect(await k('cluster-info')).toContain('is running at');
    expect(await k('explain deployment.spec.replicas')).toContain('integer');
    expect(await k('get events')).toMatch(/ScalingReplicaSet|LAST SEEN/);
    expect(await k('describe ns ' + namespace)).toContain('Active');
  });

  test('proxies', async () => {
    const child = spawn(path, ['proxy', '--port=0'], {
      env: { PATH: process.env['PATH'], HOME: home, KUBECONFIG: cluster.server.kubeconfig },
    });
    try {
      const address = await new Promise<string>((resolve) => {
        child.stdout.on('data', (chunk: Buffer) => {
          const [found] = /127\.0\.0\.1:\d+/.exec(chunk.toString()) ?? [];
          if (found) resolve(found);
        });
      });
      const answer = await fetch(`http://${address}/api/v1/namespaces/default`);
      expect(await answer.json()).toMatchObject({ kind: 'Namespace', metadata: { name: 'default' } });
    } finally {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await gone;
    }
  });
});
