import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { hostsMount, hostsText } from '../../executor/hosts-file.ts';
import type { Runtime } from '../../executor/runtime.ts';
import { sandboxSpec } from '../../executor/sandbox.ts';
import { aPod } from './pods-for-tests.ts';

const facts = {
  nodeName: 'node-1',
  logs: '/logs',
  cgroupParent: '',
  clusterDns: ['10.0.0.10'],
  clusterDomain: 'cluster.local',
  seccompProfiles: '/seccomp',
};
const spec = (more: object, name?: string) => sandboxSpec(aPod({}, more, name), 0, facts);

describe('the sandbox of a pod', () => {
  test('has the name of the pod, or its own, cut so that it is still a name', () => {
    expect(spec({}).hostname).toBe('p');
    expect(spec({ hostname: 'h', subdomain: 's' }).hostname).toBe('h');
    expect(spec({ hostNetwork: true }).hostname).toBe('node-1');
    expect(spec({}, `${'x'.repeat(62)}-${'y'.repeat(10)}`).hostname).toBe('x'.repeat(62));
  });

  test('has its full name as hostname when asked for, unless it is too long', () => {
    const full = { setHostnameAsFQDN: true, subdomain: 's' };
    expect(spec({ ...full, hostname: 'h' }).hostname).toBe('h.s.default.svc.cluster.local');
    expect(() => spec({ ...full, hostname: 'h'.repeat(60) })).toThrow('is too long (64 characters is the max, 88');
    expect(spec({ setHostnameAsFQDN: true }).hostname).toBe('p');
  });

  test('resolves names by its policy and what it adds', () => {
    const dnsConfig = {
      nameservers: ['1.1.1.1'],
      searches: ['my.org'],
      options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
    };
    expect(spec({ dnsPolicy: 'None', dnsConfig }).dns).toEqual({
      nameservers: ['1.1.1.1'],
      searches: ['my.org'],
      options: ['ndots:2', 'edns0'],
    });
    const cluster = spec({ dnsConfig }).dns!;
    expect(cluster.nameservers).toEqual(['10.0.0.10', '1.1.1.1']);
    expect(cluster.searches.slice(0, 3)).toEqual(['default.svc.cluster.local', 'svc.cluster.local', 'cluster.local']);
    expect(cluster.options).toEqual(['ndots:2', 'edns0']);
    expect(spec({ dnsPolicy: 'Default' }).dns).toBeUndefined();
    expect(spec({ hostNetwork: true }).dns).toBeUndefined();
    expect(spec({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }).dns!.nameservers).toEqual(['10.0.0.10']);
  });
});

test('the hosts file names the pod, and the aliases it asks for', () => {
  const hostAliases = [{ ip: '10.1.1.1', hostnames: ['one', 'two'] }, { ip: '10.1.1.2' }];
  const text = hostsText(aPod({}, { hostAliases, subdomain: 's' }), ['10.0.0.5'], facts, undefined);
  expect(text.split('\n')).toEqual(
    expect.arrayContaining([
      '127.0.0.1\tlocalhost',
      '10.0.0.5\tp.s.default.svc.cluster.local\tp',
      '10.1.1.1\tone\ttwo',
      '10.1.1.2',
    ]),
  );
  expect(text.endsWith('\n')).toBe(true);
  expect(hostsText(aPod({}, { hostAliases }), ['10.0.0.5'], facts, '1.2.3.4 machine\n')).toBe(
    '# Kubernetes-managed hosts file (host network).\n1.2.3.4 machine\n\n# Entries added by HostAliases.\n10.1.1.1\tone\ttwo\n10.1.1.2\n',
  );
});

describe('the hosts file of a pod, when somebody has been at it,', () => {
  const directory = mkdtempSync('/dev/shm/km-hosts-');
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const [file, outside] = [join(directory, 'etc-hosts'), join(directory, 'outside')];
  const pod = aPod();
  const provide = () =>
    hostsMount(pod, pod.spec.containers[0]!, ['10.0.0.5'], directory, facts, { isolates: true } as Runtime);
  const text = hostsText(pod, ['10.0.0.5'], facts, undefined);
  beforeEach(async () => {
    await provide();
    writeFileSync(outside, 'precious');
  });

  test('is as it should be, and the same one', async () => {
    const { ino } = statSync(file);
    writeFileSync(file, `${text}10.9.9.9\tours\n`);
    expect(await provide()).toMatchObject([{ hostPath: file, containerPath: '/etc/hosts' }]);
    expect(readFileSync(file, 'utf8')).toBe(text);
    expect(statSync(file).ino).toBe(ino);
  });

  test('is not read whole', async () => {
    truncateSync(file, 400 << 20);
    const before = process.resourceUsage().maxRSS;
    await provide();
    expect(readFileSync(file, 'utf8')).toBe(text);
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(100 << 10); // kilobytes
  });

  test.each<[string, () => void]>([
    ['a link', () => symlinkSync(outside, file)],
    ['a pipe', () => execFileSync('mkfifo', [file])],
  ])('is not %s', async (_, put) => {
    rmSync(file);
    put();
    await provide();
    expect(lstatSync(file).isFile()).toBe(true);
    expect(readFileSync(file, 'utf8')).toBe(text);
    expect(readFileSync(outside, 'utf8')).toBe('precious');
  });
});
