import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Container, Pod, PodSpec } from '../../api/kinds/pod.ts';
import { hasAppArmor } from '../../executor/app-armor.ts';
import { busyboxImage } from './images.ts';
import type { KubeletOn } from './kubelet-on.ts';
import { aPod, collect, eventually } from './pods-for-tests.ts';
import { startRegistry } from './registry.ts';

/** What a runtime that isolates gives the pods of a kubelet. */
export function describeIsolation(name: string, open: () => Promise<KubeletOn>): void {
  describe(`what a pod on ${name} is given`, () => {
    let place: KubeletOn['place'];
    let runtime: KubeletOn['runtime'];
    let kubelet: KubeletOn['kubelet'];
    let directory: KubeletOn['directory'];
    let stop: () => Promise<void>;
    beforeAll(async () => void ({ place, runtime, kubelet, directory, stop } = await open()), 60_000);
    afterAll(() => stop(), 60_000);

    const run = (container: Partial<Container>, spec: Partial<PodSpec> = {}, name = 'p'): Pod => {
      const main = { name: 'c', image: busyboxImage, command: ['sleep', '1000'], ...container };
      const pod = aPod({}, { ...spec, containers: [main, ...(spec.containers ?? [])] }, name);
      kubelet.pods.bound(pod);
      kubelet.pods.admit(pod.metadata.uid!);
      return pod;
    };
    const waiting = (pod: Pod, reason: string) =>
      eventually(
        () => {
          const state = kubelet.status(pod)?.containerStatuses?.[0]?.state.waiting;
          return state?.reason === reason ? (state.message ?? '') : undefined;
        },
        reason,
        20_000,
      );
    const ask = async (pod: Pod, script: string): Promise<string> => {
      await eventually(() => kubelet.status(pod)?.containerStatuses?.every((c) => c.ready), 'the pod to run', 20_000);
      const { id } = (await kubelet.pods.container(pod.metadata.uid!, 'c'))!;
      const done = await collect((r) => runtime.exec(id, { command: ['sh', '-c', script], ...r }));
      return done.stdout.toString() + done.stderr.toString();
    };
    const status = (text: string, field: string) => new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(text)?.[1];

    test('users, groups, and volumes that belong to its group', async () => {
      kubelet.apiserver.configMaps.set('default/settings', { metadata: {}, data: { key: 'value' } });
      const pod = run(
        { volumeMounts: ['e', 's'].map((name) => ({ name, mountPath: `/${name}` })) },
        {
          securityContext: { runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, supplementalGroups: [4000] },
          volumes: [
            { name: 'e', emptyDir: {} },
            { name: 's', configMap: { name: 'settings', defaultMode: 0o400 } },
          ],
        },
      );
      expect(await ask(pod, 'id -u; id -g')).toBe('1000\n3000\n');
      expect((await ask(pod, 'id -G')).trim().split(' ').sort()).toEqual(['2000', '3000', '4000']);
      expect(await ask(pod, 'touch /e/f && stat -c "%g %a" /e /e/f; cat /s/key; stat -Lc "%g %a" /s/key')).toBe(
        '2000 2777\n2000 644\nvalue2000 440\n',
      );
    });

    test('no more powers than it asks for', async () => {
      const bare = run({
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
          seccompProfile: { type: 'RuntimeDefault' },
        },
      });
      const mine = await ask(bare, 'cat /proc/self/status; touch /x');
      expect([status(mine, 'NoNewPrivs'), status(mine, 'Seccomp'), status(mine, 'CapEff')]).toEqual([
        '1',
        '2',
        '0000000000000400',
      ]);
      expect(mine).toContain('Read-only file system');
      const usual = await ask(run({}), 'cat /proc/self/status; cat /proc/kcore 2>&1 | head -c 1 | wc -c');
      expect([status(usual, 'NoNewPrivs'), status(usual, 'Seccomp'), status(usual, 'CapEff')]).toEqual([
        '0',
        '0',
        '00000000a80425fb',
      ]);
    });

    test('sysctls, and the processes of its pod when it shares them', async () => {
      const sysctls = [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '7' }];
      const pod = run(
        {},
        {
          shareProcessNamespace: true,
          securityContext: { sysctls },
          containers: [{ name: 'd', image: busyboxImage, command: ['sleep', '777'] }],
        },
      );
      expect(await ask(pod, 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start')).toBe('7\n');
      expect(await ask(pod, 'ps')).toContain('sleep 777');
      expect(await ask(run({}), 'ps')).not.toContain('sleep 777');
    });

    test('unsafe sysctls where they are allowed; with others it fails, and says so', async () => {
      const set = (name: string, value: string, more: Partial<PodSpec> = {}) =>
        run({}, { securityContext: { sysctls: [{ name, value }] }, ...more });
      expect(await ask(set('kernel.msgmax', '4096'), 'cat /proc/sys/kernel/msgmax')).toBe('4096\n');
      expect(await ask(set('kernel/msgmnb', '5000'), 'cat /proc/sys/kernel/msgmnb')).toBe('5000\n');
      const failed = (pod: Pod) =>
        eventually(
          () => (kubelet.status(pod)?.phase === 'Failed' ? kubelet.status(pod)! : undefined),
          'the pod to fail',
        );
      const unsafe = set('net.core.somaxconn', '64');
      const message = 'Pod was rejected: forbidden sysctl: "net.core.somaxconn" not allowlisted';
      expect(await failed(unsafe)).toMatchObject({ reason: 'SysctlForbidden', message });
      expect(kubelet.apiserver.events).toContain(`Warning SysctlForbidden ${message}`);
      await eventually(() => kubelet.reports.get(unsafe.metadata.uid!)?.phase === 'Failed', 'Mesos to be told');
      expect((await runtime.pods()).some(({ uid }) => uid === unsafe.metadata.uid)).toBe(false);
      const host = set('net.ipv4.tcp_syncookies', '1', { hostNetwork: true });
      expect((await failed(host)).message).toContain('not allowed with host net enabled');
    });

    test('nothing of a node that is short of memory where it asked for none, and said so', async () => {
      kubelet.press({ memory: true, disk: false, pids: false });
      try {
        const [greedy, modest] = [run({}), run({ resources: { requests: { memory: '1Mi' } } })];
        const message = 'Pod was rejected: The node had condition: [MemoryPressure]. ';
        await eventually(() => kubelet.status(greedy)?.phase === 'Failed', 'the refusal');
        expect(kubelet.status(greedy)).toMatchObject({ reason: 'Evicted', message });
        expect(kubelet.status(greedy)!.conditions!.map(({ type }) => type)).not.toContain('DisruptionTarget');
        expect(kubelet.apiserver.events).toContain(`Warning Evicted ${message}`);
        await eventually(() => kubelet.reports.get(greedy.metadata.uid!)?.phase === 'Failed', 'Mesos to be told');
        expect(await ask(modest, 'echo runs')).toBe('runs\n');
      } finally {
        kubelet.press({ memory: false, disk: false, pids: false });
      }
    });

    test('the AppArmor profile that it names, or a refusal where the machine has no AppArmor', async () => {
      const appArmorProfile = { type: 'RuntimeDefault' as const };
      const pod = run({ command: ['sh', '-c', 'sleep 1000'], securityContext: { appArmorProfile } });
      if (hasAppArmor()) expect(await ask(pod, 'cat /proc/self/attr/current')).toMatch(/\(enforce\)/);
      else {
        await eventually(() => kubelet.status(pod)?.phase === 'Failed', 'the pod to fail');
        expect(kubelet.status(pod)).toMatchObject({
          reason: 'AppArmor',
          message: expect.stringContaining('not enabled'),
        });
      }
    });

    test('names: its hostname, its hosts file, its resolver', async () => {
      const pod = run(
        {},
        {
          hostname: 'web',
          subdomain: 'sub',
          setHostnameAsFQDN: true,
          hostAliases: [{ ip: '10.1.1.1', hostnames: ['friend'] }],
          dnsPolicy: 'None',
          dnsConfig: { nameservers: ['10.9.9.9'], searches: ['my.org'], options: [{ name: 'ndots', value: '2' }] },
        },
      );
      const full = 'web.sub.default.svc.cluster.local';
      expect(await ask(pod, 'hostname; cat /etc/resolv.conf')).toBe(
        `${full}\nsearch my.org\nnameserver 10.9.9.9\noptions ndots:2\n`,
      );
      const hosts = await ask(pod, 'cat /etc/hosts');
      expect(hosts).toContain(`${kubelet.status(pod)!.podIP}\t${full}\tweb\n`);
      expect(hosts).toContain('10.1.1.1\tfriend\n');
    });

    test('its processes seen by a debugger that targets it, and not by others', async () => {
      const pod = run({ command: ['sleep', '888'] });
      await ask(pod, 'true');
      const debug = (name: string, targetContainerName?: string) => ({
        name,
        image: busyboxImage,
        command: ['ps'],
        ...(targetContainerName ? { targetContainerName } : {}),
      });
      const ephemeralContainers = [debug('near', 'c'), debug('far')];
      kubelet.pods.bound({ ...pod, spec: { ...pod.spec, ephemeralContainers } });
      await eventually(
        () => kubelet.status(pod)?.ephemeralContainerStatuses?.every((c) => c.state.terminated),
        'their end',
      );
      const seen = async (name: string) => {
        const { logPath } = (await kubelet.pods.container(pod.metadata.uid!, name))!;
        return execFileSync('cat', [logPath], { encoding: 'utf8' });
      };
      expect(await seen('near')).toContain('sleep 888');
      expect(await seen('far')).not.toContain('sleep 888');
    });

    test('a mount made later on the machine, where it asks for that', async () => {
      const shared = join(directory, 'shared');
      mkdirSync(shared);
      execFileSync('sh', [
        '-c',
        `mount --bind ${shared} ${shared} && mount --make-shared ${shared} && mkdir ${shared}/in`,
      ]);
      try {
        const volumes = [{ name: 'h', hostPath: { path: shared } }];
        const mounts = (mountPropagation: 'HostToContainer' | 'None') => [
          { name: 'h', mountPath: '/h', mountPropagation },
        ];
        const follows = run({ volumeMounts: mounts('HostToContainer') }, { volumes });
        const alone = run({ volumeMounts: mounts('None') }, { volumes });
        await Promise.all([ask(follows, 'true'), ask(alone, 'true')]);
        execFileSync('sh', ['-c', `mount -t tmpfs km ${shared}/in && touch ${shared}/in/late`]);
        expect(await ask(follows, 'ls /h/in')).toBe('late\n');
        expect(await ask(alone, 'ls /h/in')).toBe('');
        for (const pod of [follows, alone]) kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 0, remove: true });
        await eventually(
          () => !kubelet.pods.has(follows.metadata.uid!) && !kubelet.pods.has(alone.metadata.uid!),
          'their end',
        );
      } finally {
        execFileSync('sh', ['-c', `umount -l ${shared}/in ${shared} 2>/dev/null; true`]);
      }
    });

    test('a refusal in words: root where none may be, a runtime class that is none', async () => {
      const pod = run({}, { securityContext: { runAsNonRoot: true } });
      expect(await waiting(pod, 'CreateContainerConfigError')).toBe(
        'container has runAsNonRoot and image will run as root',
      );
      run({}, { runtimeClassName: 'gone' });
      await eventually(
        () => kubelet.apiserver.events.find((e) => e.includes('RuntimeClass "gone" not found')),
        'the event',
      );
      kubelet.apiserver.handlers.set('usual', 'runc').set('odd', 'no-such-handler');
      await ask(run({}, { runtimeClassName: 'usual' }), 'true');
      run({}, { hostUsers: false });
      await eventually(() => kubelet.apiserver.events.find((e) => e.includes('spec.hostUsers=false')), 'the event');
      const strict = run({}, { securityContext: { supplementalGroupsPolicy: 'Strict' } });
      await eventually(
        () => kubelet.status(strict)?.reason === 'SupplementalGroupsPolicyNotSupported',
        'the refusal of strict groups',
      );
      run({}, { runtimeClassName: 'odd' });
      await eventually(() => kubelet.apiserver.events.find((e) => e.includes('no-such-handler')), 'the event');
    });

    test('an image of a registry that wants a password, with its pull secret and not without', async () => {
      const registry = await startRegistry(join(place.directory, 'busybox.tar'), 'me:secret');
      try {
        const image = `${registry.host}/busybox:1`;
        const login = (password: string) => ({ auths: { [registry.host]: { username: 'me', password } } });
        const secret = (file: object) => ({
          metadata: {},
          type: 'kubernetes.io/dockerconfigjson',
          data: { '.dockerconfigjson': Buffer.from(JSON.stringify(file)).toString('base64') },
        });
        kubelet.apiserver.secrets
          .set('default/wrong', secret(login('guess')))
          .set('default/right', secret(login('secret')));
        const without = run({ image }, {}, 'without');
        expect(await waiting(without, 'ImagePullBackOff')).toMatch(/401|unauthorized|no basic auth/);
        const pod = run(
          { image },
          { imagePullSecrets: ['missing', 'wrong', 'right'].map((name) => ({ name })) },
          'with',
        );
        expect(await ask(pod, 'echo in')).toBe('in\n');
        expect(
          kubelet.apiserver.events.some((e) => e.includes('FailedToRetrieveImagePullSecret') && e.includes('missing')),
        ).toBe(true);
        const never = run({ image: `${registry.host}/other:1`, imagePullPolicy: 'Never' });
        expect(await waiting(never, 'ErrImageNeverPull')).toContain('is not present with pull policy of Never');
      } finally {
        registry.close();
      }
    });
  });
}
