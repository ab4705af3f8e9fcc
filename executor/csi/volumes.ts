import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CSIDriver } from '../../api/kinds/csi-driver.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { attachmentName } from '../../api/kinds/volume-attachment.ts';
import type { Apiserver } from '../apiserver.ts';
import { wordsOf } from '../grpc.ts';
import { isMounted, removeMount, unmount } from '../volumes/mounts.ts';
import { VolumeError } from '../volumes/volume.ts';
import type { CsiPlugin } from './plugins.ts';
import { type Kept, forget, keep, namesIn, published, readKept, staged } from './records.ts';

/** One volume of one pod. */
export interface CsiVolume {
  pod: Pod;
  /** Names its directory: that of the volume in the pod, or of the PersistentVolume. */
  name: string;
  driver: string;
  handle: string;
  /** Made for the pod and gone with it. */
  isEphemeral: boolean;
  /** Its device itself, without a file system. */
  isBlock: boolean;
  readOnly: boolean;
  fsType: string;
  mountOptions: readonly string[];
  accessModes: readonly string[];
  attributes: Readonly<Record<string, string>>;
  stageSecret?: SecretRef | undefined;
  publishSecret?: SecretRef | undefined;
  expandSecret?: SecretRef | undefined;
}

export interface SecretRef {
  name: string;
  namespace: string;
}

export interface CsiVolumesOptions {
  find(driver: string): CsiPlugin | undefined;
  apiserver: Pick<Apiserver, 'csiDriver' | 'volumeAttachment' | 'secret' | 'token'>;
  nodeName: string;
  /** Where drivers mount: the layout below it is a kubelet's, which drivers know. */
  root: string;
  /** Writes into the node's status what is in use; resolves when that is done. */
  report(): Promise<void>;
}

/**
 * Volumes of CSI drivers:
 *
 *   attach (somebody else, told by a VolumeAttachment) ─▶ stage, once a node ─▶ publish, once a pod
 *   unpublish, once a pod ─▶ unstage, with the last pod
 *
 * A volume that is attached is told of in the node's status from before it is mounted until after it is not: whoever
 * detaches it waits for that.
 *
 *   <root>/plugins/kubernetes.io/csi/<driver>/<hash>/globalmount          staged
 *   <root>/pods/<uid>/volumes/kubernetes.io~csi/<name>/mount              published
 */
export class CsiVolumes {
  readonly #options: CsiVolumesOptions;
  /** The last work on each volume: one at a time. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Names of attached volumes that pods, by uid, are about to get: what is mounted is known by its record. */
  readonly #wanted = new Map<string, Set<string>>();
  /** Names that the node's status has told. */
  #told = new Set<string>();

  constructor(options: CsiVolumesOptions) {
    this.#options = options;
  }

  /** Mounts the volume and answers where. May be called again. Throws VolumeError. */
  publish(volume: CsiVolume): Promise<string> {
    return this.#inTurn(volume, () => this.#publish(volume));
  }

  /** Grows the file system of a volume that is mounted. False where its driver leaves that to others. Throws VolumeError. */
  expand(volume: CsiVolume, bytes: number): Promise<boolean> {
    return this.#inTurn(volume, async () => {
      const plugin = this.#plugin(volume.driver);
      if (!plugin.can.has('EXPAND_VOLUME')) return false;
      await ask(plugin, 'NodeExpandVolume', {
        volume_id: volume.handle,
        volume_path: join(this.#directory(volume), 'mount'),
        capacity_range: { required_bytes: bytes },
        staging_target_path: plugin.can.has('STAGE_UNSTAGE_VOLUME') ? this.#staging(volume) : '',
        volume_capability: capability(volume, plugin),
        secrets: await this.#secrets(volume.expandSecret),
      });
      return true;
    });
  }

  /** Whether a volume is to be given to the group of its pod by us: its driver may do so itself, or not want it. */
  async isForGroup({
    driver: name,
    pod,
    readOnly,
    fsType,
    isEphemeral,
    isBlock,
    accessModes,
  }: CsiVolume): Promise<boolean> {
    if (pod.spec.securityContext?.fsGroup === undefined || readOnly || isBlock) return false;
    if (this.#plugin(name).can.has('VOLUME_MOUNT_GROUP')) return false;
    const { fsGroupPolicy = 'ReadWriteOnceWithFSType' } = (await this.#options.apiserver.csiDriver(name))?.spec ?? {};
    if (fsGroupPolicy !== 'ReadWriteOnceWithFSType') return fsGroupPolicy === 'File';
    return fsType !== '' && (isEphemeral || accessModes.includes('ReadWriteOnce'));
  }

  /** Uids of this node's pods that have volumes here: others, a kubelet even, may keep theirs in the same place. */
  async users(): Promise<string[]> {
    const records = await published(this.#options.root);
    return [...new Set(records.filter(({ node }) => node === this.#options.nodeName).map(({ uid }) => uid))];
  }

  /** What nobody may detach, as a node's status names it: `kubernetes.io/csi/<driver>^<handle>`, in order. */
  async inUse(): Promise<string[]> {
    const { root, nodeName } = this.#options;
    const kept = [...(await published(root)), ...(await staged(root))];
    const mounted = kept.filter(({ node, isAttached }) => node === nodeName && isAttached).map(nameInUse);
    return [...new Set([...[...this.#wanted.values()].flatMap((names) => [...names]), ...mounted])].sort();
  }

  /** Takes back what is staged though no pod has it. Rejects with what its drivers could not be asked. */
  async sweep(): Promise<void> {
    const { root, nodeName } = this.#options;
    const ours = (await staged(root)).filter(({ node }) => node === nodeName);
    const done = await Promise.allSettled(
      ours.map((kept) => this.#inTurn(kept, async () => (await this.#isUsed(kept)) || this.#unstage(kept))),
    );
    const failed = done.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
    if (failed.length > 0) throw new AggregateError(failed, failed.map(({ message }) => message).join('; '));
  }

  /** Takes away every volume of a pod. Throws while a driver cannot be asked to. */
  async release(podUid: string): Promise<void> {
    const pod = join(this.#options.root, 'pods', podUid);
    const directory = join(pod, 'volumes/kubernetes.io~csi');
    for (const name of await namesIn(directory)) await this.#unpublish(join(directory, name));
    await unmount(pod);
    await rm(pod, { recursive: true, force: true });
    await this.#released(podUid);
  }

  /** Not waited for: a later status of the node tells it too. */
  async #released(podUid: string): Promise<void> {
    this.#wanted.delete(podUid);
    const inUse = new Set(await this.inUse());
    const told = this.#told.size;
    this.#told = new Set([...this.#told].filter((name) => inUse.has(name)));
    if (this.#told.size < told) this.#options.report().catch(() => undefined);
  }

  /** Before a volume is mounted the node's status has to say so. */
  async #tell(volume: CsiVolume): Promise<void> {
    const name = nameInUse(volume);
    const uid = volume.pod.metadata.uid!;
    this.#wanted.set(uid, (this.#wanted.get(uid) ?? new Set()).add(name));
    if (this.#told.has(name)) return;
    await this.#options.report();
    this.#told.add(name);
  }

  async #publish(volume: CsiVolume): Promise<string> {
    const { apiserver } = this.#options;
    const plugin = this.#plugin(volume.driver);
    const driver = await apiserver.csiDriver(volume.driver);
    checkMode(volume, driver);
    const directory = this.#directory(volume);
    const target = join(directory, 'mount');
    const isAttached = !volume.isEphemeral && driver?.spec.attachRequired !== false;
    const isStaged = !volume.isEphemeral && plugin.can.has('STAGE_UNSTAGE_VOLUME');
    const staging = isStaged ? this.#staging(volume) : '';
    const { driver: name, handle } = volume;
    const keepAll = async () => {
      const kept = { driver: name, handle, isStaged, isAttached, node: this.#options.nodeName };
      await keep(directory, kept);
      if (isStaged) await keep(dirname(staging), kept);
    };
    if ((await isMounted(target)) && !driver?.spec.requiresRepublish) {
      await keepAll(); // a record may have got lost, as with the power
      return target;
    }
    if (isAttached) await this.#tell(volume);
    const context = isAttached ? await this.#attached(volume) : {};
    await keepAll();
    if (isStaged) await this.#stage(plugin, volume, staging, context);
    await ask(plugin, 'NodePublishVolume', {
      volume_id: volume.handle,
      publish_context: context,
      staging_target_path: staging,
      target_path: target,
      volume_capability: capability(volume, plugin),
      readonly: volume.readOnly,
      secrets: await this.#secrets(volume.publishSecret),
      volume_context: { ...volume.attributes, ...(await this.#about(volume, driver)) },
    });
    return target;
  }

  async #stage(plugin: CsiPlugin, volume: CsiVolume, staging: string, context: object): Promise<void> {
    await mkdir(staging, { recursive: true, mode: 0o750 });
    await ask(plugin, 'NodeStageVolume', {
      volume_id: volume.handle,
      publish_context: context,
      staging_target_path: staging,
      volume_capability: capability(volume, plugin),
      secrets: await this.#secrets(volume.stageSecret),
      volume_context: volume.attributes,
    });
  }

  async #unpublish(directory: string): Promise<void> {
    const target = join(directory, 'mount');
    const kept = await readKept(directory);
    if (!kept) return removeMount(target);
    await this.#inTurn(kept, async () => {
      await ask(this.#plugin(kept.driver), 'NodeUnpublishVolume', { volume_id: kept.handle, target_path: target });
      await removeMount(target);
      if (kept.isStaged && !(await this.#isUsed(kept, directory))) await this.#unstage(kept);
      await forget(directory); // last: a driver that failed is asked again
    });
  }

  async #unstage(kept: Kept): Promise<void> {
    const staging = this.#staging(kept);
    const request = { volume_id: kept.handle, staging_target_path: staging };
    await ask(this.#plugin(kept.driver), 'NodeUnstageVolume', request);
    await removeMount(staging);
    await rm(dirname(staging), { recursive: true, force: true });
  }

  /** Some pod still has it, other than by that directory. */
  async #isUsed({ driver, handle }: Kept, except = ''): Promise<boolean> {
    return (await published(this.#options.root)).some(
      (other) => other.driver === driver && other.handle === handle && other.directory !== except,
    );
  }

  #plugin(name: string): CsiPlugin {
    const plugin = this.#options.find(name);
    if (plugin) return plugin;
    throw new VolumeError(`driver name ${name} not found in the list of registered CSI drivers`);
  }

  #directory({ pod, name }: CsiVolume): string {
    return join(this.#options.root, 'pods', pod.metadata.uid!, 'volumes/kubernetes.io~csi', name);
  }

  #staging({ driver, handle }: { driver: string; handle: string }): string {
    return join(this.#options.root, 'plugins/kubernetes.io/csi', driver, sha256(handle), 'globalmount');
  }

  /** What the attaching left for us; waits, by an error, until it is done. */
  async #attached({ driver: name, handle }: CsiVolume): Promise<Record<string, string>> {
    const { apiserver, nodeName } = this.#options;
    const attachment = await apiserver.volumeAttachment(attachmentName(handle, name, nodeName));
    if (attachment?.status?.attached) return attachment.status.attachmentMetadata ?? {};
    const why = attachment?.status?.attachError?.message;
    throw new VolumeError(`volume "${handle}" is not attached to node "${nodeName}"${why ? `: ${why}` : ' yet'}`);
  }

  async #secrets(ref: SecretRef | undefined): Promise<Record<string, string>> {
    if (!ref) return {};
    const secret = await this.#options.apiserver.secret(ref.namespace, ref.name);
    if (!secret) throw new VolumeError(`secret "${ref.namespace}/${ref.name}" not found`);
    const text = ([key, value]: [string, string]) => [key, Buffer.from(value, 'base64').toString('utf8')];
    return Object.fromEntries(Object.entries(secret.data ?? {}).map(text)) as Record<string, string>;
  }

  /** What a driver that asks for it is told of the pod. */
  async #about({ pod, isEphemeral }: CsiVolume, driver: CSIDriver | undefined): Promise<Record<string, string>> {
    const { name = '', namespace = '', uid = '' } = pod.metadata;
    const account = pod.spec.serviceAccountName || 'default';
    const info = {
      'csi.storage.k8s.io/pod.name': name,
      'csi.storage.k8s.io/pod.namespace': namespace,
      'csi.storage.k8s.io/pod.uid': uid,
      'csi.storage.k8s.io/serviceAccount.name': account,
      'csi.storage.k8s.io/ephemeral': String(isEphemeral),
    };
    const requests = driver?.spec.tokenRequests ?? [];
    const tokens: Record<string, object> = {};
    for (const { audience, expirationSeconds = 3600 } of requests) {
      const { token, expiresAt } = await this.#options.apiserver.token(pod, audience || undefined, expirationSeconds);
      tokens[audience] = { token, expirationTimestamp: new Date(expiresAt).toISOString() };
    }
    return {
      ...(driver?.spec.podInfoOnMount ? info : {}),
      ...(requests.length > 0 ? { 'csi.storage.k8s.io/serviceAccount.tokens': JSON.stringify(tokens) } : {}),
    };
  }

  async #inTurn<T>({ driver, handle }: { driver: string; handle: string }, work: () => Promise<T>): Promise<T> {
    const key = `${driver}/${handle}`;
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(work, work);
    this.#turns.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    }
  }
}

function checkMode({ isEphemeral, driver: name }: CsiVolume, driver: CSIDriver | undefined): void {
  const mode = isEphemeral ? 'Ephemeral' : 'Persistent';
  const modes = driver?.spec.volumeLifecycleModes ?? ['Persistent'];
  if (!modes.includes(mode))
    throw new VolumeError(`volume mode "${mode}" not supported by driver ${name} (only supports ${modes.join(', ')})`);
}

/** Many nodes before one, writers before readers. */
function capability({ fsType, mountOptions, accessModes, pod, isBlock }: CsiVolume, { can }: CsiPlugin): object {
  const mode = accessModes.includes('ReadWriteMany')
    ? 'MULTI_NODE_MULTI_WRITER'
    : accessModes.includes('ReadOnlyMany')
      ? 'MULTI_NODE_READER_ONLY'
      : 'SINGLE_NODE_WRITER';
  if (isBlock) return { block: {}, access_mode: { mode } };
  const group = pod.spec.securityContext?.fsGroup;
  const owner = group !== undefined && can.has('VOLUME_MOUNT_GROUP') ? { volume_mount_group: String(group) } : {};
  return { mount: { fs_type: fsType, mount_flags: mountOptions, ...owner }, access_mode: { mode } };
}

async function ask({ node, name }: CsiPlugin, method: string, request: object): Promise<void> {
  try {
    await node(method, request);
  } catch (error) {
    throw new VolumeError(`driver ${name} refused ${method}: ${wordsOf(error)}`, { cause: error });
  }
}

const nameInUse = ({ driver, handle }: { driver: string; handle: string }): string =>
  `kubernetes.io/csi/${driver}^${handle}`;

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
