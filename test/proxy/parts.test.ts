import { expect, test } from '@jest/globals';
import type { Changes } from '../../proxy/rules.ts';
import { LayError, inParts } from '../../proxy/writer.ts';

const changes = (...keys: string[]): Changes => new Map(keys.map((key) => [key, undefined]));

test('a port that is refused keeps nobody else from changing', async () => {
  const written: string[] = [];
  const refused = await inParts(changes('a', 'bad', 'c'), (part) => {
    if (part.has('bad')) return Promise.reject(new Error('no such thing'));
    written.push(...part.keys());
    return Promise.resolve();
  });
  expect(refused).toEqual([{ key: 'bad', reason: 'no such thing' }]);
  expect(written).toEqual(['a', 'c']);
});

test.each<[what: string, changes: Changes, error: Error]>([
  ['without any port', changes(), new Error('nothing runs')],
  ['without what all share', changes('a', 'b'), new LayError(new Error('nothing runs'))],
])('where nothing can be written, %s, it is tried once', async (_, given, error) => {
  let tries = 0;
  const writing = inParts(given, () => {
    tries += 1;
    return Promise.reject(error);
  });
  await expect(writing).rejects.toThrow('nothing runs');
  expect(tries).toBe(1);
});
