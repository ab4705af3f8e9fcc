import { expect, test } from '@jest/globals';
import { strategicMerge } from '../../apiserver/patch/strategic.ts';
import { applyJsonPatch, mergePatch } from '../../apiserver/patch/json.ts';

const pod = 'io.k8s.api.core.v1.Pod';
const spec = (original: object, patch: object) => strategicMerge({ spec: original }, { spec: patch }, pod)['spec'];

test('merges lists by their merge key', () => {
  const before = {
    containers: [
      { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
      { name: 'b', image: '1' },
    ],
  };
  expect(spec(before, { containers: [{ name: 'a', image: '2', env: [{ name: 'Y', value: '2' }] }] })).toEqual({
    containers: [
      {
        name: 'a',
        image: '2',
        env: [
          { name: 'Y', value: '2' },
          { name: 'X', value: '1' },
        ],
      },
      { name: 'b', image: '1' },
    ],
  });
});

test('what a patch names stands in its order, and before what it does not name and was not before it', () => {
  const before = { containers: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] };
  const names = (...patch: string[]) =>
    (spec(before, { containers: patch.map((name) => ({ name })) }) as typeof before).containers.map(({ name }) => name);
  expect(names('new')).toEqual(['new', 'a', 'b', 'c']);
  expect(names('c', 'a')).toEqual(['b', 'c', 'a']);
  expect(names('b', 'new')).toEqual(['a', 'b', 'new', 'c']);
});

test('replaces atomic lists and deletes by null', () => {
  const before = { containers: [{ name: 'a', args: ['x', 'y'] }], hostname: 'h' };
  expect(spec(before, { hostname: null, containers: [{ name: 'a', args: ['z'] }] })).toEqual({
    containers: [{ name: 'a', args: ['z'] }],
  });
});

test('obeys $patch in lists and maps', () => {
  const before = { containers: [{ name: 'a' }, { name: 'b' }], nodeSelector: { x: '1' } };
  expect(spec(before, { containers: [{ name: 'a', $patch: 'delete' }] })).toMatchObject({
    containers: [{ name: 'b' }],
  });
  expect(spec(before, { containers: [{ $patch: 'replace' }, { name: 'c' }] })).toMatchObject({
    containers: [{ name: 'c' }],
  });
  expect(spec(before, { nodeSelector: { $patch: 'replace', y: '2' } })).toMatchObject({ nodeSelector: { y: '2' } });
});

test('obeys $retainKeys, $deleteFromPrimitiveList and $setElementOrder', () => {
  expect(
    strategicMerge(
      { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: {} } } },
      { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } },
      'io.k8s.api.apps.v1.Deployment',
    ),
  ).toEqual({ spec: { strategy: { type: 'Recreate' } } });
  expect(
    strategicMerge(
      { metadata: { finalizers: ['a', 'b'] } },
      { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } },
      pod,
    ),
  ).toEqual({ metadata: { finalizers: ['b'] } });
  expect(
    spec(
      { containers: [{ name: 'a' }, { name: 'b' }] },
      { '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }], containers: [{ name: 'c' }] },
    ),
  ).toEqual({
    containers: [{ name: 'c' }, { name: 'a' }, { name: 'b' }],
  });
});

test('an item without its merge key is refused', () => {
  expect(() => spec({ containers: [] }, { containers: [{ image: 'x' }] })).toThrow(
    'does not contain declared merge key: name',
  );
});

test('no patch reaches the prototype of objects', () => {
  const evil = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}') as Record<
    string,
    unknown
  >;
  mergePatch({}, evil);
  strategicMerge({}, evil, pod);
  try {
    applyJsonPatch({}, [{ op: 'add', path: '/__proto__/polluted', value: true }]);
  } catch (error) {
    expect(error).toMatchObject({ code: 422 });
  }
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});
