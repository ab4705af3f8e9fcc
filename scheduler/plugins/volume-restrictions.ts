import type { Pod } from '../../api/kinds/pod.ts';
import { namespaceOf } from '../pod-selection.ts';
import type { Plugin } from '../plugin.ts';
import { claimNames } from './volumes.ts';

/** A disk that a pod mounts in its spec: two with the same key are one disk. */
interface Disk {
  key: string;
  readOnly: boolean;
  /** Whether it may be mounted twice on a node if both only read. */
  mayShare: boolean;
}

/** A disk that can be attached once must not be mounted by two pods of a node; a claim for one pod alone by no other at all. */
export const volumeRestrictions: Plugin = {
  name: 'VolumeRestrictions',
  filter: ({ pod, nodes, world }) => {
    const mine = disksOf(pod);
    const exclusive = new Set(
      claimNames(pod).filter((name) =>
        world?.storage?.claim(namespaceOf(pod), name)?.spec.accessModes?.includes('ReadWriteOncePod'),
      ),
    );
    if (
      exclusive.size > 0 &&
      nodes.some(({ pods }) => [...pods.values()].some((other) => usesOne(other, pod, exclusive)))
    )
      return () => 'node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode';
    if (mine.length === 0) return undefined;
    return ({ pods }) => {
      for (const other of pods.values())
        if (disksOf(other).some((theirs) => mine.some((disk) => conflicts(disk, theirs))))
          return 'node(s) had no available disk';
      return undefined;
    };
  },
};

const usesOne = (other: Pod, pod: Pod, claims: ReadonlySet<string>): boolean =>
  namespaceOf(other) === namespaceOf(pod) && claimNames(other).some((name) => claims.has(name));

const conflicts = (a: Disk, b: Disk): boolean => a.key === b.key && !(a.mayShare && a.readOnly && b.readOnly);

interface Source {
  pdName?: string;
  volumeID?: string;
  iqn?: string;
  lun?: number;
  monitors?: string[];
  pool?: string;
  image?: string;
  readOnly?: boolean;
}

function disksOf({ spec }: Pod): Disk[] {
  return (spec.volumes ?? []).flatMap((volume) => {
    const gce = volume['gcePersistentDisk'] as Source | undefined;
    const aws = volume['awsElasticBlockStore'] as Source | undefined;
    const iscsi = volume['iscsi'] as Source | undefined;
    const rbd = volume['rbd'] as Source | undefined;
    const disk = (key: string, { readOnly = false }: Source, mayShare = true): Disk => ({ key, readOnly, mayShare });
    if (gce) return [disk(`gce ${gce.pdName}`, gce)];
    if (aws) return [disk(`aws ${aws.volumeID}`, aws, false)];
    if (iscsi) return [disk(`iscsi ${iscsi.iqn}`, iscsi)];
    return rbd ? (rbd.monitors ?? []).map((one) => disk(`rbd ${one} ${rbd.pool ?? 'rbd'} ${rbd.image}`, rbd)) : [];
  });
}
