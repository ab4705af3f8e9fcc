import { ConfigMap } from '../api/kinds/config-map.ts';
import { CSIDriver } from '../api/kinds/csi-driver.ts';
import { VolumeAttachment } from '../api/kinds/volume-attachment.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { Pod, type PodStatus } from '../api/kinds/pod.ts';
import { RuntimeClass } from '../api/kinds/runtime-class.ts';
import { Secret } from '../api/kinds/secret.ts';
import type { Service } from '../api/kinds/service.ts';
import type { KubeObject, Stored } from '../api/meta.ts';
import type { Kind } from '../api/kind.ts';
import { StatusError, isConflict, isForbidden, isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import { Informer } from '../client/informer.ts';
import type { Logger } from '../lib/log.ts';
import type { EventRecorder } from '../client/events.ts';
import type { Apiserver } from './apiserver.ts';
import { hashOf } from './mirror-pods.ts';
import { isStatic } from './static-pod.ts';
import { own, passing } from './status.ts';
import { grownStatus } from './volumes/growth.ts';
import { VolumeError } from './volumes/volume.ts';

/** Milliseconds for one question: an apiserver that hangs is one that is down. */
const patience = 30_000;

const sourceKinds = { configMap: ConfigMap, secret: Secret } as const;

/** The Apiserver port over client/. */
export function apiserverOf(
  client: Client,
  events: EventRecorder,
  services: () => readonly Service[],
  signal: AbortSignal,
  log: Logger,
): Apiserver {
  const within = () => AbortSignal.any([signal, AbortSignal.timeout(patience)]);
  const find = async <T extends KubeObject>(
    kind: Kind<T>,
    namespace: string,
    name: string,
  ): Promise<(T & Stored) | undefined> => {
    try {
      return await client.get(kind, { namespace, name }, within());
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };
  /** Uid of the object that shows a static pod, if there is one already. */
  const mirrorOf = async ({ metadata }: Pod): Promise<string | undefined> => {
    const mirror = await find(Pod, metadata.namespace!, metadata.name!);
    return mirror && hashOf(mirror) === metadata.uid ? mirror.metadata.uid : undefined;
  };
  return {
    services,
    configMap: (namespace, name) => find(ConfigMap, namespace, name),
    secret: (namespace, name) => find(Secret, namespace, name),
    watchSource(kind, namespace, name, changed) {
      const stopping = new AbortController();
      const scope = { namespace, fieldSelector: `metadata.name=${name}` };
      const informer = new Informer<ConfigMap | Secret>(client, sourceKinds[kind], scope, log);
      informer.on(changed);
      informer.start(AbortSignal.any([signal, stopping.signal])).catch(() => undefined); // it is no longer wanted
      return () => stopping.abort();
    },
    claim: (namespace, name) => find(PersistentVolumeClaim, namespace, name),
    async claimGrew({ metadata }, storage) {
      const patch = { metadata: { uid: metadata.uid }, ...grownStatus(storage) };
      await client.patch(
        PersistentVolumeClaim,
        metadata,
        patch,
        { type: 'strategic', subresource: 'status' },
        within(),
      );
    },
    csiDriver: (name) => find(CSIDriver, '', name),
    // One that is not there yet is nobody's, so that it is forbidden to look.
    volumeAttachment: (name) =>
      find(VolumeAttachment, '', name).catch((error: unknown) => {
        if (isForbidden(error)) return undefined;
        throw error;
      }),
    persistentVolume: (name) => find(PersistentVolume, '', name),
    runtimeHandler: async (name) => (await find(RuntimeClass, '', name))?.handler,
    async writeStatus(pod, status) {
      const uid = isStatic(pod) ? await mirrorOf(pod) : pod.metadata.uid;
      if (uid === undefined) return;
      const patch = { metadata: { uid }, status: statusPatch(pod, status) };
      try {
        await client.patch(Pod, pod.metadata, patch, { type: 'strategic', subresource: 'status' }, within());
      } catch (error) {
        // Gone, or replaced by another pod of that name: nobody waits for this status.
        if (
          !isNotFound(error) &&
          !(isConflict(error) && (await find(Pod, pod.metadata.namespace!, pod.metadata.name!))?.metadata.uid !== uid)
        )
          throw error;
      }
    },
    async removePod(pod) {
      if (isStatic(pod)) return; // its mirror is looked after elsewhere
      const options = { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata.uid! } };
      try {
        await client.delete(Pod, pod.metadata, options, within());
      } catch (error) {
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
    },
    async token(pod, audience, seconds) {
      const { namespace = '', name = '', uid = '' } = pod.metadata;
      const account = pod.spec.serviceAccountName || 'default';
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
      const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name, uid };
      const spec = { ...(audience ? { audiences: [audience] } : {}), expirationSeconds: seconds, boundObjectRef };
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
      try {
        const { status } = await client.raw<TokenRequest>('POST', path, body, within());
        return { token: status.token, expiresAt: Date.parse(status.expirationTimestamp) };
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
        throw new VolumeError(`no token for service account "${account}": ${error.message}`, { cause: error });
      }
    },
    event(pod, type, reason, message, container) {
      const { namespace = '', name = '', uid = '', resourceVersion = '' } = pod.metadata;
      const fieldPath = container === undefined ? {} : { fieldPath: `spec.${listOf(pod, container)}{${container}}` };
      events.record(
        { apiVersion: 'v1', kind: 'Pod', namespace, name, uid, resourceVersion, ...fieldPath },
        type,
        reason,
        message,
      );
    },
  };
}

function listOf({ spec }: Pod, container: string): string {
  const lists = ['initContainers', 'ephemeralContainers'] as const;
  return lists.find((list) => spec[list]?.some(({ name }) => name === container)) ?? 'containers';
}

interface TokenRequest {
  status: { token: string; expirationTimestamp: string };
}

const clearable = ['message', 'reason'] as const;

/** A strategic merge patch: conditions merge by type, so those of others stay; what we no longer say is taken away. */
export function statusPatch(pod: Pod, status: PodStatus): object {
  const gone = clearable.filter((field) => pod.status?.[field] !== undefined && status[field] === undefined);
  const staleIps = (pod.status?.podIPs ?? []).filter(({ ip }) => !status.podIPs?.some((now) => now.ip === ip));
  const over = (pod.status?.conditions ?? []).filter(
    ({ type }) => passing.has(type) && !status.conditions?.some((now) => now.type === type),
  );
  // What a condition no longer says of itself would stay otherwise.
  const conditions = status.conditions?.map((one) =>
    own.has(one.type) ? { reason: null, message: null, ...one } : one,
  );
  return {
    ...status,
    ...(conditions ? { conditions: [...conditions, ...over.map(({ type }) => ({ $patch: 'delete', type }))] } : {}),
    ...Object.fromEntries(gone.map((field) => [field, null])),
    ...(staleIps.length > 0
      ? { podIPs: [...(status.podIPs ?? []), ...staleIps.map(({ ip }) => ({ $patch: 'delete', ip }))] }
      : {}),
  };
}
