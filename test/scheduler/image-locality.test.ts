import { expect, test } from '@jest/globals';
import { imageLocality } from '../../scheduler/plugins/image-locality.ts';
import { makeNode, makePod, small } from './builders.ts';

// https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins

const mega = 1024 * 1024;
const withImages = (name: string, megabytes: Record<string, number>) => {
  const view = makeNode(name);
  const images = Object.entries(megabytes).map(([image, size]) => ({ names: [image], sizeBytes: size * mega }));
  return { ...view, node: { ...view.node, status: { images } } };
};
const podOf = (...images: string[]) =>
  makePod('p', { containers: images.map((image, i) => ({ name: `c${i}`, image })) });

const one = withImages('one', { 'i/40:latest': 40, 'i/300:latest': 300, 'i/4000:latest': 4000 });
const two = withImages('two', { 'i/250:latest': 250, 'i/10:v1': 10 });
const three = withImages('three', { 'i/40:latest': 40 });

test.each([
  ['of two nodes, the one with the bigger image', ['i/40', 'i/250'], [one, two], [0, 5]],
  ['the one with both images', ['i/40', 'i/300'], [one, two], [7, 0]],
  [
    'no more than a whole gigabyte counts, less than 23 megabytes not at all',
    ['i/4000', 'i/10:v1'],
    [one, two],
    [100, 0],
  ],
  ['an image that more nodes have counts more', ['i/40'], [one, three], [1, 1]],
  ['another tag is another image', ['i/250:v2', 'i/40:latest'], [two, three], [0, 0]],
])('%s', (_, images, nodes, scores) => {
  const score = imageLocality.score?.({ pod: podOf(...images), needs: small, nodes });
  expect(nodes.map((node, i) => Math.floor(score?.(node, i) ?? 0))).toEqual(scores);
});

test('where no node has an image, nobody is asked', () => {
  expect(imageLocality.score?.({ pod: podOf('other'), needs: small, nodes: [one, two] })).toBeUndefined();
});
