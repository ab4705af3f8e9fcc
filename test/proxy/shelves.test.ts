import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Shelves } from '../../proxy/shelves.ts';

const owners = fc.integer({ min: 0, max: 200 }).map((i) => `svc default/web-${i}:/TCP`);
const steps = fc.array(fc.record({ owner: owners, count: fc.integer({ min: 0, max: 40 }) }), { maxLength: 400 });

test('nobody has the numbers of another, and few ask the same map', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const shelves = new Shelves();
      const counts = new Map<string, number>();
      for (const { owner, count } of all) {
        if (count > 0) counts.set(owner, count);
        else if (counts.delete(owner)) shelves.forget(owner);
        if (count > 0) shelves.place(owner, 'tcp', count);
      }
      const taken = [...counts].flatMap(([owner, count]) => {
        const { map, first } = shelves.place(owner, 'tcp', count);
        return Array.from({ length: count }, (_, i) => `${map} ${first + i}`);
      });
      expect(new Set(taken).size).toBe(taken.length);
      const asked = [...counts].map(([owner, count]) => shelves.place(owner, 'tcp', count).map);
      for (const map of new Set(asked)) expect(asked.filter((one) => one === map).length).toBeLessThanOrEqual(64);
      expect(shelves.maps.map(({ map }) => map)).toEqual(expect.arrayContaining([...new Set(asked)]));
    }),
  );
});

test('who comes to have more, or fewer, stays where it is as long as there is room; protocols have maps of their own', () => {
  const shelves = new Shelves();
  const first = shelves.place('a', 'tcp', 10);
  expect(shelves.place('a', 'tcp', 9)).toBe(first);
  expect(shelves.place('a', 'tcp', 20)).toBe(first);
  expect(shelves.place('a', 'tcp', 21)).not.toEqual(first);
  expect(shelves.place('b', 'udp', 1).map).not.toBe(first.map);
});
