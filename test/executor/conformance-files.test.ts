import { expect, test as one } from '@jest/globals';
import type { Pod, PodSpec, Volume } from '../../api/kinds/pod.ts';
import { onContainerd } from './on-containerd.ts';
import { eventually } from './pods-for-tests.ts';

/* Config maps and secrets as files: each test has the name of a conformance test of Kubernetes 1.23 ([sig-storage]), and its promise. */

interface Item {
  key: string;
  path: string;
  mode?: number;
}
interface Options {
  items?: Item[];
  defaultMode?: number;
  optional?: boolean;
}
type Source = 'configMap' | 'secret';

const test = one.concurrent;

onContainerd('as files on containerd', 21, (pods) => {
  const set = (source: Source, name: string, data: Record<string, string>, namespace = 'default') => {
    const { configMaps, secrets, watching } = pods.kubelet.apiserver;
    const coded = Object.fromEntries(Object.entries(data).map(([key, text]) => [key, btoa(text)]));
    if (source === 'configMap') configMaps.set(`${namespace}/${name}`, { metadata: {}, data });
    else secrets.set(`${namespace}/${name}`, { metadata: {}, data: coded });
    watching.get(`${source}/${namespace}/${name}`)?.();
  };
  const unset = (source: Source, name: string) => {
    const { configMaps, secrets, watching } = pods.kubelet.apiserver;
    (source === 'configMap' ? configMaps : secrets).delete(`default/${name}`);
    watching.get(`${source}/default/${name}`)?.();
  };
  const volume = (kind: Kind, object: string, options: Options = {}, name = 'v'): Volume => {
    const { defaultMode, ...rest } = options;
    const mode = defaultMode === undefined ? {} : { defaultMode };
    if (kind.projected)
      return { name, projected: { sources: [{ [kind.source]: { name: object, ...rest } }], ...mode } };
    return kind.source === 'secret'
      ? { name, secret: { secretName: object, ...rest, ...mode } }
      : { name, configMap: { name: object, ...rest, ...mode } };
  };
  const mounted = { volumeMounts: [{ name: 'v', mountPath: '/v', readOnly: true }] };
  const read = (kind: Kind, object: string, script: string, options: Options = {}, spec: Partial<PodSpec> = {}) =>
    pods.outputOf(script, mounted, { volumes: [volume(kind, object, options)], ...spec });
  const seen = (pod: Pod, script: string, wanted: string) =>
    eventually(async () => ((await pods.ask(pod, script)) === wanted ? true : undefined), `"${wanted}"`, 20_000);

  interface Kind {
    title: string;
    source: Source;
    projected?: true;
  }
  /** The name of an object that no other kind of volume has. */
  const own = (name: string, { title }: Kind) => `${name}-${title.toLowerCase().replace(' ', '-')}`;
  const configMap: Kind = { title: 'ConfigMap', source: 'configMap' };
  const secrets: Kind = { title: 'Secrets', source: 'secret' };
  const projectedConfigMap: Kind = { title: 'Projected configMap', source: 'configMap', projected: true };
  const projectedSecret: Kind = { title: 'Projected secret', source: 'secret', projected: true };
  const titled = (...kinds: Kind[]) => kinds.map((kind): [string, Kind] => [kind.title, kind]);
  const all = titled(configMap, secrets, projectedConfigMap, projectedSecret);
  const maps = titled(configMap, projectedConfigMap);
  const anySecret = titled(secrets, projectedSecret);

  test.each(all)('%s should be consumable from pods in volume', async (_, kind) => {
    set(kind.source, 'plain', { 'data-1': 'value-1' });
    expect(await read(kind, 'plain', 'cat /v/data-1; stat -Lc " %a" /v/data-1')).toBe('value-1 644\n');
  });

  test.each(all)('%s should be consumable from pods in volume with defaultMode set', async (_, kind) => {
    set(kind.source, 'moded', { 'data-1': 'value-1' });
    const script = 'cat /v/data-1; stat -Lc " %a" /v/data-1';
    expect(await read(kind, 'moded', script, { defaultMode: 0o400 })).toBe('value-1 400\n');
  });

  const items = [{ key: 'data-2', path: 'path/to/data-2' }];
  test.each(all)('%s should be consumable from pods in volume with mappings', async (_, kind) => {
    set(kind.source, 'mapped', { 'data-1': 'value-1', 'data-2': 'value-2' });
    expect(await read(kind, 'mapped', 'cat /v/path/to/data-2; echo; ls /v', { items })).toBe('value-2\npath\n');
  });

  const modedItem = async (_: string, kind: Kind) => {
    set(kind.source, 'mapped', { 'data-1': 'value-1', 'data-2': 'value-2' });
    const moded = { items: items.map((item) => ({ ...item, mode: 0o400 })) };
    const script = 'cat /v/path/to/data-2; stat -Lc " %a" /v/path/to/data-2';
    expect(await read(kind, 'mapped', script, moded)).toBe('value-2 400\n');
  };
  test.each(maps)('%s should be consumable from pods in volume with mappings and Item mode set', modedItem);
  test.each(anySecret)('%s should be consumable from pods in volume with mappings and Item Mode set', modedItem);

  const asUser = { securityContext: { runAsUser: 1000 } };
  test.each(maps)('%s should be consumable from pods in volume as non-root', async (_, kind) => {
    set(kind.source, 'plain', { 'data-1': 'value-1' });
    expect(await read(kind, 'plain', 'id -u; cat /v/data-1', {}, asUser)).toBe('1000\nvalue-1');
  });

  test.each(maps)('%s should be consumable from pods in volume with mappings as non-root', async (_, kind) => {
    set(kind.source, 'mapped', { 'data-2': 'value-2' });
    expect(await read(kind, 'mapped', 'id -u; cat /v/path/to/data-2', { items }, asUser)).toBe('1000\nvalue-2');
  });

  test.each(anySecret)(
    '%s should be consumable from pods in volume as non-root with defaultMode and fsGroup set',
    async (_, kind) => {
      set(kind.source, 'grouped', { 'data-1': 'value-1' });
      const spec = { securityContext: { runAsUser: 1000, fsGroup: 1001 } };
      const script = 'cat /v/data-1; stat -Lc " %a %g" /v/data-1';
      expect(await read(kind, 'grouped', script, { defaultMode: 0o440 }, spec)).toBe('value-1 440 1001\n');
    },
  );

  const twice = async (_: string, kind: Kind) => {
    set(kind.source, 'plain', { 'data-1': 'value-1' });
    const volumeMounts = ['v', 'w'].map((name) => ({ name, mountPath: `/${name}`, readOnly: true }));
    const volumes = ['v', 'w'].map((name) => volume(kind, 'plain', {}, name));
    expect(await pods.outputOf('cat /v/data-1 /w/data-1', { volumeMounts }, { volumes })).toBe('value-1value-1');
  };
  test.each(maps)('%s should be consumable in multiple volumes in the same pod', twice);
  test.each(anySecret)('%s should be consumable in multiple volumes in a pod', twice);

  test.each(maps)('%s updates should be reflected in volume', async (_, kind) => {
    const name = own('changing', kind);
    set(kind.source, name, { 'data-1': 'value-1' });
    const pod = pods.run(mounted, { volumes: [volume(kind, name)] });
    await seen(pod, 'cat /v/data-1', 'value-1');
    set(kind.source, name, { 'data-1': 'value-2' });
    await seen(pod, 'cat /v/data-1', 'value-2');
  });

  test.each(all)('%s optional updates should be reflected in volume', async (_, kind) => {
    const names = ['gone', 'updated', 'made'];
    set(kind.source, own('gone', kind), { 'data-1': 'value-1' });
    set(kind.source, own('updated', kind), { 'data-1': 'value-1' });
    const pod = pods.run(
      { volumeMounts: names.map((name) => ({ name, mountPath: `/v/${name}` })) },
      { volumes: names.map((name) => volume(kind, own(name, kind), { optional: true }, name)) },
    );
    await seen(pod, 'cat /v/*/*', 'value-1value-1');
    unset(kind.source, own('gone', kind));
    set(kind.source, own('updated', kind), { 'data-3': 'value-3' });
    set(kind.source, own('made', kind), { 'data-1': 'new' });
    await seen(pod, 'cd /v; ls gone updated; cat made/data-1', 'gone:\n\nupdated:\ndata-3\nnew');
  });

  test('ConfigMap binary data should be reflected in volume', async () => {
    pods.kubelet.apiserver.configMaps.set('default/binary', {
      metadata: {},
      data: { 'data-1': 'value-1' },
      binaryData: { 'dump.bin': Buffer.from([0xde, 0xca, 0xfe, 0xba, 0xd0, 0xfe, 0xff]).toString('base64') },
    });
    expect(await read(configMap, 'binary', 'cat /v/data-1; hexdump -e \'7/1 "%02x"\' /v/dump.bin')).toBe(
      'value-1decafebad0feff',
    );
  });

  test('Secrets should be able to mount in a volume regardless of a different secret existing with same name in different namespace', async () => {
    set('secret', 'both', { 'data-1': 'value-1' });
    set('secret', 'both', { 'data-1': 'of the other' }, 'other');
    expect(await read(secrets, 'both', 'cat /v/data-1')).toBe('value-1');
  });

  test('Projected combined should project all components that make up the projection API', async () => {
    set('configMap', 'part', { settings: 'a=1' });
    set('secret', 'part', { password: 'sesame' });
    const sources = [
      { configMap: { name: 'part', items: [{ key: 'settings', path: 'of/settings' }] } },
      { secret: { name: 'part' } },
      { downwardAPI: { items: [{ path: 'podname', fieldRef: { fieldPath: 'metadata.name' } }] } },
    ];
    const volumes = [{ name: 'v', projected: { sources } }];
    expect(await pods.outputOf('cd /v; cat of/settings password podname', mounted, { volumes })).toBe('a=1sesamep');
  });

  test('EmptyDir wrapper volumes should not conflict', async () => {
    set('secret', 'wrapped', { 'data-1': 'of the secret' });
    set('configMap', 'wrapped', { 'data-1': ', of the map' });
    const volumeMounts = ['v', 'w'].map((name) => ({ name, mountPath: `/${name}`, readOnly: true }));
    const volumes = [volume(secrets, 'wrapped'), volume(configMap, 'wrapped', {}, 'w')];
    expect(await pods.outputOf('cat /v/data-1 /w/data-1', { volumeMounts }, { volumes })).toBe(
      'of the secret, of the map',
    );
  });

  test('EmptyDir wrapper volumes should not cause race condition when used for configmaps', async () => {
    const names = Array.from({ length: 50 }, (_, i) => `racy-${i}`);
    for (const name of names) set('configMap', name, { 'data-1': `${name}\n` });
    const volumeMounts = names.map((name) => ({ name, mountPath: `/v/${name}` }));
    const volumes = names.map((name) => volume(configMap, name, {}, name));
    const said = await Promise.all(
      [1, 2, 3].map(() => pods.outputOf('cat /v/*/data-1 | sort', { volumeMounts }, { volumes })),
    );
    const wanted = `${[...names].sort().join('\n')}\n`;
    expect(said).toEqual([wanted, wanted, wanted]);
  });

  /** The file `data-1` of a volume, mounted alone. */
  const alone = (source: Volume, mountPath: string) =>
    pods.outputOf(
      `cat ${mountPath}; test -f ${mountPath} && echo " a file"`,
      { volumeMounts: [{ name: 'v', mountPath, subPath: 'data-1' }] },
      { volumes: [source] },
    );
  test.each(
    titled(
      { ...configMap, title: 'configmap' },
      { ...secrets, title: 'secret' },
      { ...projectedConfigMap, title: 'projected' },
    ),
  )('Subpath Atomic writer volumes should support subpaths with %s pod', async (_, kind) => {
    set(kind.source, 'sub', { 'data-1': 'value-1', other: 'x' });
    expect(await alone(volume(kind, 'sub'), '/deep/file')).toBe('value-1 a file\n');
  });

  test('Subpath Atomic writer volumes should support subpaths with configmap pod with mountPath of existing file', async () => {
    set('configMap', 'sub', { 'data-1': 'value-1' });
    expect(await alone(volume(configMap, 'sub'), '/etc/passwd')).toBe('value-1 a file\n');
  });

  test('Subpath Atomic writer volumes should support subpaths with downward pod', async () => {
    const items = [{ path: 'data-1', fieldRef: { fieldPath: 'metadata.name' } }];
    expect(await alone({ name: 'v', downwardAPI: { items } }, '/deep/file')).toBe('p a file\n');
  });

  /* Not part of conformance: a kubelet mounts them so since 1.9.6, and makes places for what is mounted below them. */
  const readOnly: [string, Volume][] = [
    ['configMap', volume(configMap, 'ro')],
    ['secret', volume(secrets, 'ro')],
    [
      'downwardAPI',
      { name: 'v', downwardAPI: { items: [{ path: 'data-1', fieldRef: { fieldPath: 'metadata.uid' } }] } },
    ],
    ['projected', volume(projectedConfigMap, 'ro')],
  ];
  test.each(readOnly)(
    'a %s volume is never written by a container, though it does not say readOnly',
    async (_, source) => {
      for (const kind of ['configMap', 'secret'] as const) set(kind, 'ro', { 'data-1': 'value-1' });
      const volumeMounts = [
        { name: 'v', mountPath: '/v' },
        { name: 'v', mountPath: '/part', subPath: 'data-1' },
      ];
      const script = 'for f in /v/new /v/data-1 /v/..data/data-1 /part; do echo x > $f; done; rm /v/..data; exit 0';
      const said = await pods.outputOf(script, { volumeMounts }, { volumes: [source] });
      expect(said.match(/Read-only file system/g)).toHaveLength(5);
    },
  );

  test('volumes are mounted below a configMap volume, and stay when it changes', async () => {
    set('configMap', 'nesting', { 'data-1': 'value-1' });
    const volumeMounts = [
      { name: 'v', mountPath: '/v' },
      { name: 'w', mountPath: '/v/cache/w' },
    ];
    const volumes = [volume(configMap, 'nesting'), { name: 'w', emptyDir: {} }];
    const pod = pods.run({ volumeMounts }, { volumes });
    await seen(pod, 'cat /v/data-1; echo kept > /v/cache/w/file', 'value-1');
    set('configMap', 'nesting', { 'data-1': 'value-2' });
    await seen(pod, 'cat /v/data-1 /v/cache/w/file', 'value-2kept\n');
  });

  test('a token that is given anew is what containers read from then on', async () => {
    const { apiserver } = pods.kubelet;
    let given = 0;
    apiserver.token = () => Promise.resolve({ token: `token-${++given}`, expiresAt: Date.now() });
    const volumes = [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }];
    const pod = pods.run(mounted, { volumes, securityContext: { runAsUser: 1000 } });
    const look = () => pods.ask(pod, 'cat /v/token; stat -Lc " %u %a" /v/token');
    const first = await look();
    expect(first).toMatch(/^token-\d+ 1000 600\n$/);
    pods.kubelet.pods.bound({ ...pod, metadata: { ...pod.metadata, labels: { has: 'changed' } } });
    await eventually(async () => (await look()) !== first || undefined, 'another token', 20_000);
    expect(await look()).toMatch(/^token-\d+ 1000 600\n$/);
  });
});
