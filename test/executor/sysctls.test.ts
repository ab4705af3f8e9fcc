import { describe, expect, test } from '@jest/globals';
import type { PodSpec } from '../../api/kinds/pod.ts';
import { forbiddenSysctl, unsafeSysctls } from '../../executor/sysctls.ts';
import { aPod } from './pods-for-tests.ts';

const why = (name: string, allowed: string[] = [], more: Partial<PodSpec> = {}) =>
  forbiddenSysctl(aPod({}, { securityContext: { sysctls: [{ name, value: '1' }] }, ...more }), unsafeSysctls(allowed))
    ?.message;

describe('a sysctl', () => {
  test('that is safe may be set by any pod', () => {
    for (const name of ['kernel.shm_rmid_forced', 'net.ipv4.tcp_rmem', 'net/ipv4/ping_group_range'])
      expect(why(name)).toBeUndefined();
  });

  test('that is not safe needs to be allowed, by name or prefix', () => {
    expect(why('kernel.msgmax')).toContain('forbidden sysctl: "kernel.msgmax" not allowlisted');
    expect(why('kernel.msgmax', ['kernel.msg*'])).toBeUndefined();
    expect(why('kernel.msgmax', ['kernel.msgma'])).toBeDefined();
    expect(why('net.core.somaxconn', ['net/core/somaxconn'])).toBeUndefined();
  });

  test('of the machine’s own namespace is never set', () => {
    expect(why('kernel.shm_rmid_forced', [], { hostIPC: true })).toContain('not allowed with host ipc enabled');
    expect(why('net.core.somaxconn', ['net.*'], { hostNetwork: true })).toContain('not allowed with host net enabled');
  });

  test('that is the machine’s cannot be allowed', () => {
    expect(() => unsafeSysctls(['kernel.panic'])).toThrow('"kernel.panic" is not known to be namespaced');
    expect(() => unsafeSysctls(['*'])).toThrow('not known to be namespaced');
  });
});
