import { createHash } from 'node:crypto';
import { DecodeContext, decoderOfKind } from '../api/decode.ts';
import { describe } from '../api/field-error.ts';
import { manifestAnnotations } from '../api/kinds/names.ts';
import { Pod } from '../api/kinds/pod.ts';
import { timestamp } from '../api/meta.ts';
import { namedObjects } from '../api/pod-references.ts';

/** Where a manifest came from: a file or an address of the web. */
export interface Origin {
  source: 'file' | 'http';
  /** Path or URL. */
  from: string;
  nodeName: string;
  /** Milliseconds since the epoch. */
  now: number;
}

/** Read from a manifest by this kubelet, not from the apiserver: annotations anybody may set, but uids there are UUIDs. */
export const isStatic = ({ metadata }: Pod): boolean => /^[0-9a-f]{32}$/.test(metadata.uid ?? '');

/** The pods of one manifest: a Pod, a PodList or several documents, in JSON or YAML. Throws an Error that says what is wrong. */
export async function staticPods(text: string, origin: Origin): Promise<Pod[]> {
  const { parseAllDocuments } = await import('yaml'); // few nodes have any
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document) => {
    if (document.errors[0]) throw new Error(document.errors[0].message.split('\n')[0]);
    const object = document.toJS({ maxAliasCount: 100 }) as Partial<Pod> & { items?: unknown[] };
    if (object === null) return [];
    if (object.kind !== 'PodList' && object.kind !== 'List') return [staticPod(object, origin)];
    return (object.items ?? []).map((item) => staticPod(item, origin));
  });
}

/**
 * One pod as it will run: defaults filled in, named after its node, its uid the hash of all that it is, so that a changed
 * manifest is another pod.
 */
function staticPod(given: unknown, { source, from, nodeName, now }: Origin): Pod {
  const { apiVersion = 'v1', kind = 'Pod' } = (given ?? {}) as Partial<Pod>;
  if (apiVersion !== Pod.apiVersion || kind !== Pod.kind)
    throw new Error(`it is a ${kind} (${apiVersion}), not a Pod (v1)`);
  const context = new DecodeContext();
  const pod = decoderOfKind(Pod)!(given, context) as Pod;
  if (context.unknown.length > 0) throw new Error(`unknown field "${context.unknown[0]!}"`);
  Pod.defaults!(pod);
  const { name, namespace = 'default', labels, annotations } = pod.metadata ?? {};
  if (!name) throw new Error('metadata.name: Required value');
  const [error] = Pod.validate!(pod);
  if (error) throw new Error(`${error.field}: ${describe(error)}`);
  const named = namedObjects(pod.spec);
  if (named) throw new Error(`a static pod cannot refer to ${named}: it runs without the apiserver`);
  if (pod.spec.ephemeralContainers?.length) throw new Error('a static pod cannot have ephemeral containers');
  const hash = createHash('sha256')
    .update(JSON.stringify([nodeName, from, namespace, name, labels, annotations, pod.spec]))
    .digest('hex')
    .slice(0, 32);
  return {
    apiVersion,
    kind,
    metadata: {
      name: `${name}-${nodeName}`,
      namespace,
      uid: hash,
      creationTimestamp: timestamp(now),
      ...(labels ? { labels } : {}),
      annotations: {
        ...annotations,
        [manifestAnnotations.hash]: hash,
        [manifestAnnotations.source]: source,
        [manifestAnnotations.seen]: timestamp(now),
      },
    },
    spec: {
      ...pod.spec,
      nodeName,
      // Nobody could put it elsewhere.
      tolerations: [...(pod.spec.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }],
    },
    status: { phase: 'Pending' },
  };
}
