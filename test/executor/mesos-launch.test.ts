import { describe, expect, test } from '@jest/globals';
import { tmpdir } from 'node:os';
import type { Container, PodSpec } from '../../api/kinds/pod.ts';
import type { ContainerSpec } from '../../executor/runtime.ts';
import type { Containerizer } from '../../executor/runtimes/mesos-agent.ts';
import { exitOf } from '../../executor/runtimes/mesos-exit.ts';
import { MesosImages } from '../../executor/runtimes/mesos-images.ts';
import { launchOf } from '../../executor/runtimes/mesos-launch.ts';
import { powersOf } from '../../executor/runtimes/process-command.ts';
import { agentCall } from '../../mesos/codec.ts';
import { aPod, containerFor, sandboxFor } from './pods-for-tests.ts';

const withImages: Containerizer = { version: '1.11.0', images: true, hostPaths: true, limits: false, pids: false };

function launch(
  container: Partial<Container>,
  {
    more = {},
    spec = {},
    ...containerizer
  }: Partial<Containerizer> & { more?: Partial<ContainerSpec>; spec?: Partial<PodSpec> } = {},
  credentials?: string,
) {
  const pod = aPod(container, spec);
  const given = containerFor(pod, 'sandbox', sandboxFor(pod, tmpdir()), more);
  const place = { directory: '/d', ready: '/d/pid', powers: powersOf(), credentials };
  const made = launchOf(given, { ...withImages, ...containerizer }, place);
  // What does not fit the message of Mesos is told by its codec.
  agentCall.encode(
    { type: 'LAUNCH_CONTAINER', launch_container: { container_id: { value: 'c' }, ...made } },
    'application/x-protobuf',
  );
  return made;
}

describe('where the agent makes containers of images', () => {
  test('an image is named, pulled as the policy says, and has its own command unless it is given one', () => {
    const { command, container } = launch({ image: 'nginx:1', command: [], args: ['-g'], imagePullPolicy: 'Always' });
    expect(container?.mesos?.image).toEqual({ type: 'DOCKER', cached: false, docker: { name: 'nginx:1' } });
    expect(command).toMatchObject({ shell: false, arguments: ['-g'] });
    expect(command).not.toHaveProperty('value');
    const given = launch({ image: 'nginx:1', command: ['sh', '-c'], args: ['true'] });
    expect(given.command).toMatchObject({ shell: false, value: 'sh', arguments: ['sh', '-c', 'true'] });
    expect(given.container?.mesos?.image?.cached).toBe(true);
  });

  test('volumes are directories of the machine, with their propagation', () => {
    const mounts = [
      { hostPath: '/v/a', containerPath: '/a', readOnly: true },
      { hostPath: '/v/b', containerPath: '/b', readOnly: false, propagation: 'Bidirectional' as const },
    ];
    expect(launch({}, { more: { mounts } }).container?.volumes).toEqual([
      { container_path: '/a', mode: 'RO', source: { type: 'HOST_PATH', host_path: { path: '/v/a' } } },
      {
        container_path: '/b',
        mode: 'RW',
        source: { type: 'HOST_PATH', host_path: { path: '/v/b', mount_propagation: { mode: 'BIDIRECTIONAL' } } },
      },
    ]);
    expect(() => launch({}, { hostPaths: false, more: { mounts } })).toThrow('volume/host_path');
  });

  test('the first login of a pull secret goes along', async () => {
    const images = new MesosImages();
    await images.pull('r.example:5000/web:1', 'IfNotPresent', [{ username: 'me', password: 'it' }]);
    const text = images.credentials('r.example:5000/web:1');
    expect(JSON.parse(text ?? '')).toEqual({ auths: { 'r.example:5000': { auth: 'bWU6aXQ=' } } });
    const { container } = launch({ image: 'r.example:5000/web:1' }, {}, text);
    expect(container?.mesos?.image?.docker?.config).toMatchObject({ type: 'VALUE' });
    await expect(images.pull('web', 'Never')).rejects.toMatchObject({ reason: 'ErrImageNeverPull' });
  });

  test.each([
    ['a user by number', { securityContext: { runAsUser: 7 } }, /runAsUser/],
    ['a working directory', { workingDir: '/srv' }, /workingDir/],
    ['a read-only root', { securityContext: { readOnlyRootFilesystem: true } }, /read-only/],
  ])('what no call can say is refused: %s', (_what, container, words) => {
    expect(() => launch(container)).toThrow(words);
  });
});

describe('where the agent limits containers', () => {
  test('each has a cgroup, with what it requests and what it may have at most', () => {
    const resources = { cpuShares: 512, cpuQuotaMillicores: 1500, memoryLimitBytes: 128 * 1024 ** 2, oomScoreAdj: 0 };
    const made = launch({}, { limits: true, more: { resources } });
    expect(made.container?.linux_info).toEqual({ share_cgroups: false });
    expect(made.resources?.map(({ name, scalar }) => [name, scalar?.value])).toEqual([
      ['cpus', 0.5],
      ['mem', 128],
    ]);
    expect(made.limits).toEqual({ cpus: { value: 1.5 }, mem: { value: 128 } });
  });

  test('one without limits is accounted, and may have more', () => {
    expect(launch({}, { limits: true }).limits).toEqual({ cpus: { value: Infinity }, mem: { value: Infinity } });
    expect(launch({}).resources).toBeUndefined();
  });
});

test('how containers end', () => {
  expect(exitOf({ exit_status: 768 })).toEqual({ exitCode: 3, reason: 'Error' });
  expect(exitOf({ exit_status: 0 })).toEqual({ exitCode: 0, reason: 'Completed' });
  expect(exitOf({ exit_status: 15 })).toEqual({ exitCode: 143, reason: 'Error' });
  expect(exitOf({ exit_status: -1, message: 'no' })).toEqual({ exitCode: 128, reason: 'StartError', message: 'no' });
  const memory = { exit_status: 9, reason: 'REASON_CONTAINER_LIMITATION_MEMORY' as const, message: 'too much' };
  expect(exitOf(memory)).toEqual({ exitCode: 137, reason: 'OOMKilled', message: 'too much' });
  expect(exitOf(undefined)).toMatchObject({ exitCode: 137, reason: 'ContainerStatusUnknown' });
});
