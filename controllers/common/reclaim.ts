import { readFileSync } from 'node:fs';
import { realpath, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parse } from 'yaml';
import { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { quantity } from '../../api/quantity.ts';

type Volume = PersistentVolume & Stored;

export interface RecyclerOptions {
  /** Files with the pod that empties volumes, whose first volume becomes the one to empty; km's own unless set. */
  pvRecyclerPodTemplateFilepathHostpath: string;
  pvRecyclerPodTemplateFilepathNfs: string;
  /** Seconds: at least, and for each gibibyte. */
  pvRecyclerMinimumTimeoutHostpath: number;
  pvRecyclerTimeoutIncrementHostpath: number;
  pvRecyclerMinimumTimeoutNfs: number;
  pvRecyclerTimeoutIncrementNfs: number;
}

/** Which claim of the volume the pod cleans up after. */
export const recycledClaim = 'k8s.mesosphere.io/recycled-claim';
const recyclerNamespace = 'default';
const namePrefix = 'recycler-for-';

/** The volume that a pod empties, by its name. */
export const recycledVolume = ({ metadata: { name, namespace } }: Pod & Stored): string[] =>
  namespace === recyclerNamespace && name.startsWith(namePrefix) ? [name.slice(namePrefix.length)] : [];

/**
 * Removes what a hostPath volume holds, on this machine, as kube-controller-manager does: for clusters of one machine, and only
 * below /tmp. Throws an Error for any other volume.
 */
export async function deleteHere({ metadata: { name }, spec }: Volume): Promise<void> {
  const path = spec.hostPath?.path;
  if (path === undefined)
    throw new Error(`error getting deleter volume plugin for volume "${name}": no deletable volume plugin matched`);
  await rm(await deletable(path), { recursive: true, force: true });
}

/** Where it lies that is to be deleted. Throws an Error for all that is not below /tmp. */
export async function deletable(path: string): Promise<string> {
  const parent = await realpath(dirname(path)).catch(() => dirname(path));
  const target = join(parent, basename(path));
  // A link on the way must not lead out of /tmp, where everybody may put one; `/tmp/.` is /tmp itself.
  if (![path, target].every((one) => /^\/tmp\/.+/.test(one)))
    throw new Error(`host_path deleter only supports /tmp/.+ but received provided ${path}`);
  return target;
}

/** The pod that empties the volume, on a node that reaches it; undefined when its kind of volume cannot be emptied. */
export function recyclerPod({ metadata, spec }: Volume, o: RecyclerOptions): Pod | undefined {
  const [source, file, least, increment] = spec.hostPath
    ? ([
        { hostPath: { path: spec.hostPath.path } },
        o.pvRecyclerPodTemplateFilepathHostpath,
        o.pvRecyclerMinimumTimeoutHostpath,
        o.pvRecyclerTimeoutIncrementHostpath,
      ] as const)
    : ([
        spec.nfs && { nfs: spec.nfs },
        o.pvRecyclerPodTemplateFilepathNfs,
        o.pvRecyclerMinimumTimeoutNfs,
        o.pvRecyclerTimeoutIncrementNfs,
      ] as const);
  if (!source) return undefined;
  const pod = file ? templateOf(file) : ownTemplate();
  const gibibytes = Math.floor(quantity(spec.capacity?.['storage'] ?? '0') / 1024 ** 3);
  const [first, ...volumes] = pod.spec.volumes ?? [];
  const required = spec.nodeAffinity?.required;
  return {
    metadata: {
      ...pod.metadata,
      name: `${namePrefix}${metadata.name}`,
      namespace: recyclerNamespace,
      annotations: { ...pod.metadata.annotations, [recycledClaim]: spec.claimRef?.uid ?? '' },
    },
    spec: {
      ...pod.spec,
      activeDeadlineSeconds: Math.max(least, gibibytes * increment),
      volumes: [{ name: first?.name ?? 'vol', ...source }, ...volumes],
      ...(required ? { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } } } : {}),
    },
  };
}

function templateOf(file: string): Pod {
  const template: unknown = parse(readFileSync(file, 'utf8'));
  if (!isTemplate(template))
    throw new Error(
      `${file} holds no pod with a volume and a container: --pv-recycler-pod-template-filepath-* needs one`,
    );
  return template;
}

const isTemplate = (value: unknown): value is Pod => {
  const { spec } = (value ?? {}) as Partial<Pod>;
  return (spec?.volumes?.length ?? 0) > 0 && (spec?.containers?.length ?? 0) > 0;
};

const scrub = 'test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)" || exit 1';

const ownTemplate = (): Pod => ({
  metadata: {},
  spec: {
    restartPolicy: 'Never',
    volumes: [{ name: 'vol' }],
    containers: [
      {
        name: 'pv-recycler',
        image: 'registry.k8s.io/debian-base:v2.0.0',
        command: ['/bin/sh'],
        args: ['-c', scrub],
        volumeMounts: [{ name: 'vol', mountPath: '/scrub' }],
      },
    ],
  },
});
