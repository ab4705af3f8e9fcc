import { describe, expect, test } from '@jest/globals';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import { appArmorOf, hasAppArmor, unconfined } from '../../executor/app-armor.ts';
import { containerConfig } from '../../executor/runtimes/cri-config.ts';
import { containerFor, aPod, sandboxFor } from './pods-for-tests.ts';

const mine = { type: 'Localhost' as const, localhostProfile: 'mine' };
const own = (appArmorProfile: object) => aPod({ securityContext: { appArmorProfile: appArmorProfile as typeof mine } });
const annotated = (profile: string): Pod => {
  const pod = aPod();
  const annotations = { 'container.apparmor.security.beta.kubernetes.io/c': profile };
  return { ...pod, metadata: { ...pod.metadata, annotations } };
};
const shared: Partial<PodSpec> = { securityContext: { appArmorProfile: { type: 'RuntimeDefault' } } };

describe('the AppArmor profile of a container', () => {
  test.each<[string, Pod, object | undefined]>([
    ['is its own', own(mine), mine],
    ['is its own before its pod’s', aPod({ securityContext: { appArmorProfile: mine } }, shared), mine],
    ['is its pod’s', aPod({}, shared), { type: 'RuntimeDefault' }],
    ['is that of the annotation', annotated('localhost/mine'), mine],
    ['is none by the annotation', annotated('unconfined'), { type: 'Unconfined' }],
    ['is the usual one by the annotation', annotated('runtime/default'), { type: 'RuntimeDefault' }],
    ['is not said', aPod(), undefined],
  ])('%s', (_words, pod, expected) => expect(appArmorOf(pod, pod.spec.containers[0]!)).toEqual(expected));

  test('is what the runtime is told', () => {
    const pod = own(mine);
    const config = containerConfig(containerFor(pod, 's', sandboxFor(pod, '/tmp'), {}), 'o');
    expect(config).toMatchObject({
      linux: { security_context: { apparmor: { profile_type: 'Localhost', localhost_ref: 'mine' } } },
    });
  });
});

test('a pod that wants to be confined is refused where it would not be, others are not', () => {
  expect(unconfined(own(mine), false)).toEqual({
    reason: 'AppArmor',
    message: 'Cannot enforce AppArmor: AppArmor is not enabled on the host',
  });
  expect(unconfined(own(mine), true)).toBeUndefined();
  for (const pod of [aPod(), own({ type: 'Unconfined' })]) expect(unconfined(pod, false)).toBeUndefined();
  expect(hasAppArmor('/no/such/file')).toBe(false);
});
