import { beforeAll, describe, expect, test as one } from '@jest/globals';
import type { Container } from '../../api/kinds/pod.ts';
import { echoImage } from './images.ts';
import { onContainerd } from './on-containerd.ts';
import { never, onScratch, scratch } from './pod-runs.ts';

/* What containers are told: each test has the name of a conformance test of Kubernetes 1.23 ([sig-node]), and its promise. */

const test = one.concurrent;

onContainerd('on containerd', 25, (pods) => {
  beforeAll(() => {
    const { configMaps, secrets } = pods.kubelet.apiserver;
    configMaps.set('default/settings', { metadata: {}, data: { 'data-1': 'value-1' } });
    secrets.set('default/keys', { metadata: {}, data: { 'data-1': btoa('secret-1') } });
  });

  describe('environments', () => {
    const fromEnv = (env: Container['env']) => pods.outputOf('env', { env: env! });
    test('ConfigMap should be consumable via environment variable', async () =>
      expect(
        await fromEnv([{ name: 'X', valueFrom: { configMapKeyRef: { name: 'settings', key: 'data-1' } } }]),
      ).toContain('X=value-1\n'));
    test('ConfigMap should be consumable via the environment', async () =>
      expect(
        await pods.outputOf('', { command: ['env'], envFrom: [{ prefix: 'P_', configMapRef: { name: 'settings' } }] }),
      ).toContain('P_data-1=value-1\n'));
    test('Secrets should be consumable from pods in env vars', async () =>
      expect(await fromEnv([{ name: 'X', valueFrom: { secretKeyRef: { name: 'keys', key: 'data-1' } } }])).toContain(
        'X=secret-1\n',
      ));
    test('Secrets should be consumable via the environment', async () =>
      expect(
        await pods.outputOf('', { command: ['env'], envFrom: [{ prefix: 'P_', secretRef: { name: 'keys' } }] }),
      ).toContain('P_data-1=secret-1\n'));

    const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
    const resource = (name: string, of: string) => ({ name, valueFrom: { resourceFieldRef: { resource: of } } });
    const amounts = [
      ...[resource('CPU_LIMIT', 'limits.cpu'), resource('MEMORY_LIMIT', 'limits.memory')],
      ...[resource('CPU_REQUEST', 'requests.cpu'), resource('MEMORY_REQUEST', 'requests.memory')],
    ];
    test('Downward API should provide pod name, namespace and IP address as env vars', async () => {
      const env = [field('NAME', 'metadata.name'), field('SPACE', 'metadata.namespace'), field('IP', 'status.podIP')];
      expect(
        await pods.outputOf('echo $NAME $SPACE $IP; ip -4 -o addr show eth0', { env }, {}, { name: 'me' }),
      ).toMatch(/^me default (10\.89\.25\.\d+)\n.* inet \1\/24/);
    });
    test('Downward API should provide host IP as an env var', async () =>
      expect(await pods.outputOf('echo $IP', { env: [field('IP', 'status.hostIP')] })).toBe('127.0.0.1\n'));
    test('Downward API should provide pod UID as env vars', async () => {
      const pod = pods.run(pods.sh('echo $ID', { env: [field('ID', 'metadata.uid')] }), never);
      await pods.ended(pod);
      expect(await pods.log(pod)).toBe(`${pod.metadata.uid}\n`);
    });
    const echoAmounts = 'echo $CPU_LIMIT $MEMORY_LIMIT $CPU_REQUEST $MEMORY_REQUEST';
    test("Downward API should provide container's limits.cpu/memory and requests.cpu/memory as env vars", async () => {
      const resources = { requests: { cpu: '250m', memory: '32Mi' }, limits: { cpu: '1250m', memory: '64Mi' } };
      expect(await pods.outputOf(echoAmounts, { env: amounts, resources })).toBe(`2 ${64 << 20} 1 ${32 << 20}\n`);
    });
    test('Downward API should provide default limits.cpu/memory from node allocatable', async () =>
      expect(await pods.outputOf(echoAmounts, { env: amounts })).toBe(`4 ${4 * 1024 ** 3} 0 0\n`));

    test('Pods should contain environment variables for services', async () => {
      pods.kubelet.apiserver.serviceList = [
        {
          metadata: { name: 'foo-service', namespace: 'default' },
          spec: { clusterIP: '10.96.1.1', ports: [{ port: 8765 }] },
        },
      ];
      const said = await pods.outputOf('env | grep FOOSERVICE; env | grep FOO_SERVICE');
      expect(said.split('\n').filter(Boolean).sort()).toEqual([
        'FOO_SERVICE_PORT=tcp://10.96.1.1:8765',
        'FOO_SERVICE_PORT_8765_TCP=tcp://10.96.1.1:8765',
        'FOO_SERVICE_PORT_8765_TCP_ADDR=10.96.1.1',
        'FOO_SERVICE_PORT_8765_TCP_PORT=8765',
        'FOO_SERVICE_PORT_8765_TCP_PROTO=tcp',
        'FOO_SERVICE_SERVICE_HOST=10.96.1.1',
        'FOO_SERVICE_SERVICE_PORT=8765',
      ]);
    });

    test('Variable Expansion should allow composing env vars into new env vars', async () => {
      const env = [
        { name: 'FOO', value: 'foo' },
        { name: 'BAR', value: 'bar' },
        { name: 'FOOBAR', value: '$(FOO);;$(BAR)' },
      ];
      expect(await pods.outputOf('echo "$FOOBAR"', { env })).toBe('foo;;bar\n');
    });
    const env = [{ name: 'TEST_VAR', value: 'test-value' }];
    test("Variable Expansion should allow substituting values in a container's command", async () =>
      expect(await pods.outputOf('TEST_VAR=wrong echo $(TEST_VAR)', { env })).toBe('test-value\n'));
    test("Variable Expansion should allow substituting values in a container's args", async () => {
      const container = { env, command: ['sh', '-c'], args: ['TEST_VAR=wrong echo $(TEST_VAR)'] };
      expect(await pods.outputOf('', container)).toBe('test-value\n');
    });
  });

  describe('expansion in subPathExpr', () => {
    const mounts = (subPathExpr: string) => [{ name: 'w', mountPath: '/sub', subPathExpr }, ...onScratch.volumeMounts];
    const annotated = [
      { name: 'POD_NAME', value: 'foo' },
      { name: 'ANNOTATION', valueFrom: { fieldRef: { fieldPath: "metadata.annotations['mysubpath']" } } },
    ];
    test('Variable Expansion should allow substituting values in a volume subpath', async () => {
      const env = [{ name: 'POD_NAME', value: 'foo' }];
      expect(await pods.outputOf('ls /w', { env, volumeMounts: mounts('$(POD_NAME)') }, scratch)).toBe('foo\n');
    });
    const refused = async (value: string) => {
      const pod = pods.run({ env: [{ name: 'POD_NAME', value }], volumeMounts: mounts('$(POD_NAME)') }, scratch);
      const status = await pods.until(pod, 'its refusal', (s) =>
        s.containerStatuses?.[0]?.state.waiting?.message?.includes('subPath'),
      );
      expect(status.containerStatuses![0]!.state.waiting!.reason).toBe('CreateContainerConfigError');
      expect(status.phase).toBe('Pending');
    };
    test('Variable Expansion should fail substituting values in a volume subpath with backticks', () => refused('..'));
    test('Variable Expansion should fail substituting values in a volume subpath with absolute path', () =>
      refused('/tmp'));
    test('Variable Expansion should verify that a failing subpath expansion can be modified during the lifecycle of a container', async () => {
      const pod = pods.run({ env: annotated, volumeMounts: mounts('$(ANNOTATION)/$(POD_NAME)') }, scratch);
      await pods.until(
        pod,
        'its refusal',
        (s) => s.containerStatuses?.[0]?.state.waiting?.reason === 'CreateContainerConfigError',
      );
      pods.kubelet.pods.bound({ ...pod, metadata: { ...pod.metadata, annotations: { mysubpath: 'mypath' } } });
      await pods.running(pod);
      expect(await pods.ask(pod, 'ls -d /w/*/*')).toBe('/w/mypath/foo\n');
    });
    test('Variable Expansion should succeed in writing subpaths in container', async () => {
      const container = { env: annotated, volumeMounts: mounts('$(ANNOTATION)/$(POD_NAME)') };
      const pod = pods.run(container, scratch, { name: 'p', annotations: { mysubpath: 'mypath' } });
      await pods.running(pod);
      expect(await pods.ask(pod, 'touch /sub/test.log; ls /w/mypath/foo')).toBe('test.log\n');
      pods.kubelet.pods.bound({ ...pod, metadata: { ...pod.metadata, annotations: { mysubpath: 'newsubpath' } } });
      await pods.remove(pod, 1);
    });
  });

  describe('commands', () => {
    const says = (more: Partial<Container>) => pods.outputOf('', { image: echoImage, ...more });
    const nothing = { command: [], args: [] };
    test('Docker Containers should use the image defaults if command and args are blank', async () =>
      expect(await says(nothing)).toBe('entry default args\n'));
    test("Docker Containers should be able to override the image's default arguments (docker cmd)", async () =>
      expect(await says({ ...nothing, args: ['override', 'arguments'] })).toBe('entry override arguments\n'));
    test("Docker Containers should be able to override the image's default command (docker entrypoint)", async () =>
      expect(await says({ ...nothing, command: ['/bin/busybox', 'echo', 'other'] })).toBe('other\n'));
    test("Docker Containers should be able to override the image's default command and arguments", async () =>
      expect(await says({ command: ['/bin/busybox', 'echo', 'other'], args: ['arguments'] })).toBe(
        'other arguments\n',
      ));
  });
});
