import type { Node } from '../../api/kinds/node.ts';
import { type Column, Columns, nodeColumn } from '../column.ts';
import type { Plugin } from '../plugin.ts';

const megabyte = 1024 * 1024;
/** Less than this is fetched in no time; more than the other is not worth more. */
const [small, large] = [23 * megabyte, 1000 * megabyte];

/** Prefers nodes that have the pod's images already; an image that only few nodes have counts less, so that they are not overrun. */
export const imageLocality: Plugin = {
  name: 'ImageLocality',
  score: (ask) => {
    const { pod, nodes, all = nodes, places } = ask;
    const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
    const images = containers.flatMap(({ image }) => {
      if (!image) return [];
      const column = sizeColumn(normalized(image));
      const share = column.someOf(all).size / all.length;
      return share > 0 ? [{ sizes: column.of(all), share }] : [];
    });
    if (images.length === 0) return undefined;
    const most = large * containers.length;
    return (_, i) => {
      const place = places ? places[i]! : i;
      const size = images.reduce((sum, { sizes, share }) => sum + sizes[place]! * share, 0);
      return (100 * (Math.min(Math.max(size, small), most) - small)) / (most - small);
    };
  },
};

const columns = new Columns<Column<number>>();

/** Bytes of an image on each node, 0 where it is not. */
const sizeColumn = (image: string): Column<number> =>
  columns.get(image, () =>
    nodeColumn(
      (node) => imagesOf(node).get(image) ?? 0,
      (size) => size === 0,
    ),
  );

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
