import { expect, test } from '@jest/globals';
import { compare } from '../../apiserver/apply/typed.ts';

test('a value far inside is looked at as often as one near the top', () => {
  let reads = 0;
  const nested = (depth: number, text: string) => {
    let value: object = {
      get text() {
        reads += 1;
        return text;
      },
    };
    for (let i = 0; i < depth; i++) value = { inner: value };
    return { spec: value };
  };
  const readsAt = (depth: number) => {
    reads = 0;
    expect(compare(nested(depth, 'old'), nested(depth, 'new'), undefined).modified.children.size).toBe(1);
    return reads;
  };
  expect(readsAt(500)).toBe(readsAt(5));
});

test('parts that are equal as a whole are nobody’s change, whatever the order of their fields', () => {
  const before = { metadata: { name: 'x', labels: { a: '1', b: '2' } }, status: { phase: 'Pending' } };
  const after = { metadata: { labels: { b: '2', a: '1' }, name: 'x' }, status: { phase: 'Running' } };
  const { added, modified, removed } = compare(before, after, undefined);
  expect([...modified.children.keys()]).toEqual(['f:status']);
  expect([added.isEmpty, removed.isEmpty]).toEqual([true, true]);
});
