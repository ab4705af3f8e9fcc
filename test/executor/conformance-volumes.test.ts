import { describe, expect, test as one } from '@jest/globals';
import type { Container, Pod, PodSpec, Volume, VolumeMount } from '../../api/kinds/pod.ts';
import { busyboxImage, echoImage } from './images.ts';
import { onContainerd } from './on-containerd.ts';
import { eventually } from './pods-for-tests.ts';

/* What a pod knows of itself as files, and its scratch space: each test has the name of a conformance test of Kubernetes 1.23 ([sig-storage]), and its promise. */

const test = one.concurrent;

onContainerd('as volumes on containerd', 22, (pods) => {
  const mounted = { volumeMounts: [{ name: 'v', mountPath: '/v' }] };

  describe('the downward API', () => {
    interface Item {
      path: string;
      mode?: number;
      fieldRef?: { fieldPath: string };
      resourceFieldRef?: { containerName: string; resource: string; divisor?: string };
    }
    type Kind = (items: Item[], defaultMode?: number) => Volume;
    const own: Kind = (items, defaultMode) => ({
      name: 'v',
      downwardAPI: { items, ...(defaultMode === undefined ? {} : { defaultMode }) },
    });
    const projected: Kind = (items, defaultMode) => ({
      name: 'v',
      projected: { sources: [{ downwardAPI: { items } }], ...(defaultMode === undefined ? {} : { defaultMode }) },
    });
    const kinds: [string, Kind][] = [
      ['Downward API volume', own],
      ['Projected downwardAPI', projected],
    ];
    const podname: Item = { path: 'podname', fieldRef: { fieldPath: 'metadata.name' } };
    const said = (volume: Volume, script: string, container: Partial<Container> = {}) =>
      pods.outputOf(script, { ...mounted, ...container }, { volumes: [volume] }, { name: 'downward' });

    test.each(kinds)('%s should provide podname only', async (_, kind) =>
      expect(await said(kind([podname]), 'ls /v; cat /v/podname')).toBe('podname\ndownward'),
    );
    test.each(kinds)('%s should set DefaultMode on files', async (_, kind) =>
      expect(await said(kind([podname], 0o400), 'stat -Lc %a /v/podname')).toBe('400\n'),
    );
    test.each(kinds)('%s should set mode on item file', async (_, kind) =>
      expect(await said(kind([{ ...podname, mode: 0o400 }]), 'stat -Lc %a /v/podname')).toBe('400\n'),
    );

    const amount = (kind: Kind, resource: string, divisor: string, resources?: Container['resources']) =>
      said(
        kind([{ path: 'amount', resourceFieldRef: { containerName: 'c', resource, divisor } }]),
        'cat /v/amount',
        resources ? { resources } : {},
      );
    const some = { requests: { cpu: '250m', memory: '32Mi' }, limits: { cpu: '1250m', memory: '64Mi' } };
    test.each(kinds)("%s should provide container's cpu limit", async (_, kind) =>
      expect(await amount(kind, 'limits.cpu', '1', some)).toBe('2'),
    );
    test.each(kinds)("%s should provide container's cpu request", async (_, kind) =>
      expect(await amount(kind, 'requests.cpu', '1m', some)).toBe('250'),
    );
    test.each(kinds)("%s should provide container's memory limit", async (_, kind) =>
      expect(await amount(kind, 'limits.memory', '1Mi', some)).toBe('64'),
    );
    test.each(kinds)("%s should provide container's memory request", async (_, kind) =>
      expect(await amount(kind, 'requests.memory', '1', some)).toBe(String(32 << 20)),
    );
    test.each(kinds)(
      '%s should provide node allocatable (cpu) as default cpu limit if the limit is not set',
      async (_, kind) => expect(await amount(kind, 'limits.cpu', '1')).toBe('4'),
    );
    test.each(kinds)(
      '%s should provide node allocatable (memory) as default memory limit if the limit is not set',
      async (_, kind) => expect(await amount(kind, 'limits.memory', '1Mi')).toBe('4096'),
    );
    // Not part of conformance.
    test.each(kinds)('%s should provide node allocatable (ephemeral-storage) likewise', async (_, kind) =>
      expect(await amount(kind, 'limits.ephemeral-storage', '1Gi')).toBe('8'),
    );

    const follows = async (kind: Kind, field: 'labels' | 'annotations') => {
      const volumes = [kind([{ path: 'field', fieldRef: { fieldPath: `metadata.${field}` } }])];
      const pod = pods.run(mounted, { volumes }, { name: 'follows', [field]: { tier: 'back' } });
      const shows = (value: string) =>
        eventually(async () => (await pods.ask(pod, 'cat /v/field')) === `tier="${value}"` || undefined, value, 20_000);
      await shows('back');
      pods.kubelet.pods.bound({ ...pod, metadata: { ...pod.metadata, [field]: { tier: 'front' } } });
      await shows('front');
    };
    test.each(kinds)('%s should update labels on modification', (_, kind) => follows(kind, 'labels'));
    test.each(kinds)('%s should update annotations on modification', (_, kind) => follows(kind, 'annotations'));
  });

  describe('scratch space', () => {
    const media = { default: {}, tmpfs: { medium: 'Memory' as const } };
    type Medium = keyof typeof media;
    const users: ('root' | 'non-root')[] = ['root', 'non-root'];
    const rows = users.flatMap((user) =>
      ['0644', '0666', '0777'].flatMap((mode) =>
        (['default', 'tmpfs'] as const).map((medium): [string, string, Medium] => [user, mode, medium]),
      ),
    );
    const use = (medium: Medium, script: string, spec: Partial<PodSpec> = {}) =>
      pods.outputOf(script, mounted, { volumes: [{ name: 'v', emptyDir: media[medium] }], ...spec });
    // What km mounts is called so; the directory of the tests may be a tmpfs itself.
    const isTmpfs = 'grep -q "^km /v tmpfs " /proc/mounts && echo tmpfs || echo default';

    test.each(rows)('EmptyDir volumes should support (%s,%s,%s)', async (user, mode, medium) => {
      const script = `id -u; ${isTmpfs}; umask 0; echo text > /v/file && chmod ${mode} /v/file; stat -c %a /v/file; cat /v/file`;
      const uid = user === 'root' ? 0 : 1001;
      const spec = { securityContext: { runAsUser: uid } };
      expect(await use(medium, script, spec)).toBe(`${uid}\n${medium}\n${mode.slice(1)}\ntext\n`);
    });

    test.each<[string, Medium]>([
      ['default medium', 'default'],
      ['tmpfs', 'tmpfs'],
    ])('EmptyDir volumes volume on %s should have the correct mode', async (_, medium) =>
      expect(await use(medium, `${isTmpfs}; stat -c %a /v`)).toBe(`${medium}\n777\n`),
    );

    /* Not part of conformance, but what a kubelet does. */
    test.each<Medium>(['default', 'tmpfs'])(
      'what a container makes of the mode stays when it is restarted: %s',
      async (medium) => {
        const script = 'stat -c "%a %g" /v; [ -e /v/once ] && exit 0; touch /v/once; chmod 700 /v; chgrp 9 /v; exit 1';
        expect(await use(medium, script, { restartPolicy: 'OnFailure', securityContext: { fsGroup: 1234 } })).toBe(
          '700 9\n',
        );
      },
    );
    test.each<Medium>(['default', 'tmpfs'])('it is the group’s of the pod: %s', async (medium) =>
      expect(await use(medium, 'stat -c "%a %g" /v', { securityContext: { fsGroup: 1234 } })).toBe('2777 1234\n'),
    );

    test.each([
      ['what the node has', undefined, undefined, 4 << 20],
      ['what the pod may have', undefined, '64Mi', 64 << 10],
      ['what the pod may have, though the volume may be larger', '1Gi', '64Mi', 64 << 10],
      ['what the volume may have', '1Mi', '64Mi', 1 << 10],
    ])('a volume of memory holds no more than %s', async (_, sizeLimit, memory, kilobytes) => {
      const resources = memory === undefined ? {} : { limits: { memory } };
      const volumes = [{ name: 'v', emptyDir: { medium: 'Memory', ...(sizeLimit ? { sizeLimit } : {}) } }];
      const said = await pods.outputOf('grep " /v tmpfs " /proc/mounts', { ...mounted, resources }, { volumes });
      expect(said).toContain(`,size=${kilobytes}k`);
    });

    test('other media are refused in words', async () => {
      pods.run(mounted, { volumes: [{ name: 'v', emptyDir: { medium: 'HugePages-2Mi' } }] });
      await pods.told(
        /FailedMount .*this node cannot provide an emptyDir of the medium HugePages-2Mi, only of disk or Memory/,
      );
    });

    test('EmptyDir volumes pod should support shared volumes between containers', async () => {
      const other = {
        name: 'd',
        image: busyboxImage,
        command: ['sh', '-c', 'echo hello > /v/note; sleep 1000'],
        ...mounted,
      };
      const pod: Pod = pods.run(mounted, { volumes: [{ name: 'v', emptyDir: {} }], containers: [other] });
      await eventually(async () => (await pods.ask(pod, 'cat /v/note')) === 'hello\n' || undefined, 'the note', 20_000);
    });
  });

  /* Not part of conformance: https://kubernetes.io/docs/concepts/storage/volumes/#recursive-read-only-mounts */
  describe('a mount that is to be read-only with all below it', () => {
    const mount = (more: Partial<VolumeMount>): Partial<Container> => ({
      volumeMounts: [{ name: 'v', mountPath: '/v', readOnly: true, ...more }],
    });
    const volumes = [{ name: 'v', emptyDir: {} }];

    test.each<[string, Partial<VolumeMount>]>([
      ['it is not read-only', { recursiveReadOnly: 'IfPossible', readOnly: false }],
      [
        'it is not compatible with propagation "HostToContainer"',
        { recursiveReadOnly: 'IfPossible', mountPropagation: 'HostToContainer' },
      ],
      ['this node cannot provide it yet;', { recursiveReadOnly: 'Enabled' }],
    ])('is refused in words: %s', async (words, more) => {
      const pod = pods.run(mount(more), { volumes });
      const { containerStatuses } = await pods.until(
        pod,
        'the refusal',
        (s) => s.containerStatuses?.[0]?.state.waiting?.message,
      );
      const { reason, message } = containerStatuses![0]!.state.waiting!;
      expect(reason).toBe('CreateContainerConfigError');
      expect(message).toContain(`volume "v" requested recursive read-only mode, but ${words}`);
    });

    test.each(['Disabled', 'IfPossible'] as const)('is read-only itself where it need not be more: %s', async (how) =>
      expect(await pods.outputOf('echo x > /v/x || exit 0', mount({ recursiveReadOnly: how }), { volumes })).toContain(
        'Read-only file system',
      ),
    );
  });

  /* Not part of conformance: https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes/ */
  test('the files of an image are there to be read where the runtime mounts images; else the pod is told', async () => {
    const of = (image: object) => ({ volumes: [{ name: 'v', image }] });
    const part = { name: 'v', mountPath: '/part', subPathExpr: '$(PART)' };
    const container = { env: [{ name: 'PART', value: 'bin' }], volumeMounts: [part] };
    const { mounts } = pods.kubelet.runtime.images;
    const refused = (what: string) =>
      pods.told(new RegExp(`image "${echoImage}" cannot be mounted: this node does not mount ${what};`));
    const wanted = of({ reference: echoImage });
    if (mounts === 'none') {
      pods.run(mounted, wanted);
      return void (await refused('images'));
    }
    const script = 'ls /v; touch /v/x 2>/dev/null || echo read-only';
    expect(await pods.outputOf(script, mounted, wanted)).toBe('bin\nread-only\n');
    if (mounts === 'parts') expect(await pods.outputOf('ls /part', container, wanted)).toBe('busybox\n');
    else {
      pods.run(container, wanted);
      await refused('parts of images');
    }
    const missing = pods.run(mounted, of({ reference: 'k8s.test/missing:1', pullPolicy: 'Never' }));
    const reason = 'ErrImageNeverPull';
    await pods.until(missing, reason, (s) => s.containerStatuses![0]!.state.waiting?.reason === reason);
  });
});
