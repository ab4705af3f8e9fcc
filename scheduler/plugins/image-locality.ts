import type { Node } from '../../api/kinds/node.ts';
import type { Plugin } from '../plugin.ts';

const megabyte = 1024 * 1024;
/** Less than this is fetched in no time; more than the other is not worth more. */
const [small, large] = [23 * megabyte, 1000 * megabyte];

/** Prefers nodes that have the pod's images already; an image that only few nodes have counts less, so that they are not overrun. */
export const imageLocality: Plugin = {
  name: 'ImageLocality',
  score: ({ pod, nodes, all = nodes }) => {
    const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
    const images = containers.flatMap(({ image }) => (image ? [normalized(image)] : []));
    const spread = new Map<string, number>();
    for (const { node } of all) {
      const there = imagesOf(node);
      if (there.size > 0)
        for (const image of new Set(images)) if (there.has(image)) spread.set(image, (spread.get(image) ?? 0) + 1);
    }
    if (spread.size === 0) return undefined;
    const most = large * containers.length;
    return ({ node }) => {
      const there = imagesOf(node);
      const size = images.reduce(
        (sum, image) => sum + ((there.get(image) ?? 0) * (spread.get(image) ?? 0)) / all.length,
        0,
      );
      return (100 * (Math.min(Math.max(size, small), most) - small)) / (most - small);
    };
  },
};

/** An image without tag is the one with tag `latest`. */
const normalized = (image: string): string => (/[:@][^/]*$/.test(image) ? image : `${image}:latest`);

const none: ReadonlyMap<string, number> = new Map();
const known = new WeakMap<Node, ReadonlyMap<string, number>>();

/** Bytes by name. */
function imagesOf(node: Node): ReadonlyMap<string, number> {
  const { images } = node.status ?? {};
  if (!images?.length) return none;
  let sizes = known.get(node);
  if (!sizes) {
    sizes = new Map(images.flatMap(({ names, sizeBytes = 0 }) => names.map((name) => [name, sizeBytes])));
    known.set(node, sizes);
  }
  return sizes;
}
