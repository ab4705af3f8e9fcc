import { describe, expect, test } from '@jest/globals';
import type { Pod, Volume } from '../../api/kinds/pod.ts';
import { forbidden } from '../../api/status.ts';
import { Sources } from '../../executor/sources.ts';
import { RecordingApiserver } from './kubelet-for-tests.ts';
import { aPod } from './pods-for-tests.ts';

function mounting(...volumes: Volume[]): Pod {
  return aPod({}, { volumes });
}
const projected = (...sources: object[]): Volume => ({ name: 'p', projected: { sources } });

function open() {
  const apiserver = new RecordingApiserver();
  const sources = new Sources(apiserver);
  const changed: string[] = [];
  sources.onChange((uid) => changed.push(uid));
  return { apiserver, sources, changed };
}

describe('what pods mount', () => {
  test('is watched once for all of them, as long as one is left, and tells each', () => {
    const { apiserver, sources, changed } = open();
    const [a, b] = [
      mounting({ name: 'c', configMap: { name: 'one' } }, { name: 's', secret: { secretName: 'two' } }),
      mounting(projected({ configMap: { name: 'one' } }, { secret: { name: 'three' } }, { downwardAPI: {} })),
    ];
    sources.follow(a);
    sources.follow(b);
    sources.follow(b);
    expect([...apiserver.watching.keys()].sort()).toEqual([
      'configMap/default/one',
      'secret/default/three',
      'secret/default/two',
    ]);
    apiserver.watching.get('configMap/default/one')!();
    expect(changed).toEqual([a.metadata.uid, b.metadata.uid]);
    apiserver.watching.get('secret/default/three')!();
    expect(changed.at(-1)).toBe(b.metadata.uid);
    sources.forget(a.metadata.uid!);
    expect([...apiserver.watching.keys()].sort()).toEqual(['configMap/default/one', 'secret/default/three']);
    sources.forget(b.metadata.uid!);
    expect(apiserver.watching.size).toBe(0);
  });

  test('is as it was read last while the apiserver does not answer, or cannot be reached; a refusal counts', async () => {
    const { apiserver, sources } = open();
    sources.follow(mounting({ name: 'c', configMap: { name: 'one' } }));
    apiserver.configMaps.set('default/one', { metadata: {}, data: { value: 'a' } });
    const value = async () => (await sources.configMap('default', 'one'))?.data?.['value'];
    apiserver.configMap = () => Promise.reject(new Error('no route to host'));
    await expect(value()).rejects.toThrow('no route to host');
    apiserver.configMap = RecordingApiserver.prototype.configMap;
    expect(await value()).toBe('a');
    apiserver.configMap = () => Promise.reject(new Error('no route to host'));
    expect(await value()).toBe('a');
    apiserver.configMap = () => new Promise(() => undefined);
    expect(await value()).toBe('a');
    apiserver.configMap = () => Promise.reject(forbidden({ group: '', plural: 'configmaps' }, 'one', 'not yours'));
    await expect(value()).rejects.toThrow('not yours');
  });

  test('is read afresh each time, but neither read nor watched again once it can never change', async () => {
    const { apiserver, sources } = open();
    const pod = mounting({ name: 'c', configMap: { name: 'one' } });
    sources.follow(pod);
    const put = (value: string, immutable?: boolean) =>
      apiserver.configMaps.set('default/one', { metadata: {}, data: { value }, ...(immutable ? { immutable } : {}) });
    const value = async () => (await sources.configMap('default', 'one'))?.data?.['value'];
    expect(await value()).toBeUndefined();
    put('a');
    expect(await value()).toBe('a');
    put('b', true);
    expect(await value()).toBe('b');
    expect(apiserver.watching.size).toBe(0);
    put('c');
    expect(await value()).toBe('b');
    sources.forget(pod.metadata.uid!);
    expect(await value()).toBe('c');
  });
});
