import { storedAs, type Kind } from '../../api/kind.ts';
import { timestamp, type KubeObject } from '../../api/meta.ts';
import { badRequest, conflict, forbidden, notFound } from '../../api/status.ts';
import { bad, notSupported } from '../../api/field-error.ts';
import { immortalNamespaces } from '../admission/namespace-lifecycle.ts';
import { type BodyType, decodeBody } from '../body.ts';
import { keyIn, type Answer, type Call, type WriteOptions } from '../call.ts';
import type { Entry } from '../encoding.ts';
import type { Registry } from '../registry.ts';
import { badOptions, readDryRun, writeOptions } from '../write-options.ts';

export interface DeleteOptions extends WriteOptions {
  gracePeriodSeconds: number | undefined;
  propagation: 'Background' | 'Foreground' | 'Orphan' | undefined;
  /** Said in the old way, orphanDependents=false: the answer tells whether the object is gone. */
  wantsToKnow?: boolean;
  uid: string | undefined;
  resourceVersion: string | undefined;
}

/** DELETE of one object. */
export async function remove(registry: Registry, call: Call): Promise<Answer> {
  const { kind, name, namespace } = call;
  const options = deleteOptions(call);
  if (isNamespace(kind) && immortalNamespaces.has(name))
    throw forbidden(kind, name, 'this namespace may not be deleted');
  warnOfOrphans(kind, options);
  const { entry, gone } = await deleteObject(registry, kind, keyIn(kind, namespace, name), options);
  if (gone && !returnsObject(kind)) return success(kind, entry.object);
  return { code: !gone && options.wantsToKnow ? 202 : 200, kind, entry };
}

/** Pods of Jobs that stay behind are what nobody expects. */
export function warnOfOrphans(kind: Kind, { propagation, warn }: DeleteOptions): void {
  if (propagation === undefined && kind.group === 'batch' && kind.orphansDependents)
    warn?.(
      'child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning',
    );
}

/** These kinds answer a deletion with the object as it was. */
const returnsObject = (kind: Kind): boolean =>
  kind.group === '' &&
  ['Pod', 'Service', 'ServiceAccount', 'PersistentVolume', 'PersistentVolumeClaim'].includes(kind.kind);

function success(kind: Kind, { metadata }: Readonly<KubeObject>): Answer {
  const details = {
    name: metadata.name,
    ...(kind.group ? { group: kind.group } : {}),
    kind: kind.plural,
    uid: metadata.uid,
  };
  return { code: 200, value: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details } };
}

interface DeleteOptionsBody extends KubeObject {
  gracePeriodSeconds?: number;
  propagationPolicy?: string;
  orphanDependents?: boolean;
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun?: string[];
}

const bodyType: BodyType = {
  group: '',
  version: 'v1',
  kind: 'DeleteOptions',
  definition: 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions',
  otherVersions: 'any',
};

export function deleteOptions(call: Call): DeleteOptions {
  const { query } = call;
  const body: Partial<DeleteOptionsBody> = call.body.length > 0 ? readBody(call) : {};
  const grace = query.get('gracePeriodSeconds');
  if (grace !== null && !/^-?\d+$/.test(grace))
    throw badRequest(`strconv.ParseInt: parsing "${grace}": invalid syntax`);
  const policy = body.propagationPolicy ?? query.get('propagationPolicy') ?? undefined;
  const orphan =
    body.orphanDependents ?? (query.has('orphanDependents') ? query.get('orphanDependents') === 'true' : undefined);
  if (policy !== undefined && policy !== 'Background' && policy !== 'Foreground' && policy !== 'Orphan')
    throw badOptions('DeleteOptions', [
      notSupported('propagationPolicy', policy, ['Background', 'Foreground', 'Orphan']),
    ]);
  if (policy !== undefined && orphan !== undefined)
    throw badOptions('DeleteOptions', [
      bad('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set'),
    ]);
  const common = writeOptions(call);
  return {
    ...common,
    dryRun: common.dryRun || readDryRun(body.dryRun ?? []),
    gracePeriodSeconds: body.gracePeriodSeconds ?? (grace === null ? undefined : Number(grace)),
    propagation: policy ?? (orphan === undefined ? undefined : orphan ? 'Orphan' : 'Background'),
    wantsToKnow: orphan === false,
    uid: body.preconditions?.uid,
    resourceVersion: body.preconditions?.resourceVersion,
  };
}

function readBody(call: Call): DeleteOptionsBody {
  const { object } = decodeBody<DeleteOptionsBody>(call.contentType, call.body, bodyType);
  return object;
}

/** `gone`: it is out of the store, else only marked. */
export interface Deleted {
  entry: Entry;
  gone: boolean;
}

/**
 * Deletes, or marks as being deleted what somebody has still to finish: a pod its kubelet runs, an object with
 * finalizers. Starts from the cache, as updates do; what the cache made it refuse is tried again on the newest state.
 */
export async function deleteObject(
  registry: Registry,
  asked: Kind,
  key: string,
  options: DeleteOptions,
): Promise<Deleted> {
  const kind = storedAs(asked);
  const cached = options.dryRun ? undefined : registry.feed.cacheIfServed(kind)?.get(key);
  let current = cached ?? (await registry.read(kind, key));
  while (current) {
    const { revision } = current;
    try {
      const deleted = await tryDelete(registry, kind, current, options, current !== cached);
      if (deleted) return deleted;
      current = await registry.read(kind, key);
    } catch (error) {
      if (current !== cached) throw error;
      const newest = await registry.read(kind, key);
      if (newest?.revision === revision) throw error;
      current = newest;
    }
  }
  throw notFound(asked, key.slice(key.indexOf('/') + 1));
}

/** Undefined when somebody else wrote in between, or when there may be nothing left to do and only the newest state can tell. */
async function tryDelete(
  registry: Registry,
  kind: Kind,
  current: Entry,
  options: DeleteOptions,
  isNewest: boolean,
): Promise<Deleted | undefined> {
  checkPreconditions(kind, current.object, options);
  if (!options.admitted) await registry.admit('delete', kind, current.copy(), options);
  const grace = graceOf(kind, current.object, options);
  const finalizers = finalizersAfter(kind, current.object, options);
  const waits = finalizers.length > 0 || grace > 0 || isHeldNamespace(kind, current.object);
  if (!waits) {
    const entry = await registry.remove(kind, current, options);
    return entry && { entry, gone: true };
  }
  if (isAlreadyMarked(current.object, grace, finalizers)) return isNewest ? { entry: current, gone: false } : undefined;
  const entry = await registry.update(kind, current.key, 'server', { ...options, admitted: true }, (object) => {
    checkPreconditions(kind, object, options);
    return mark(object, grace, finalizersAfter(kind, object, options), kind);
  });
  return { entry, gone: false };
}

/** Throws 409 where the object is not the one that is meant. */
export function checkPreconditions(kind: Kind, { metadata }: Readonly<KubeObject>, options: DeleteOptions): void {
  const name = metadata.name ?? '';
  if (options.uid !== undefined && options.uid !== metadata.uid)
    throw conflict(
      kind,
      name,
      `Precondition failed: UID in precondition: ${options.uid}, UID in object meta: ${metadata.uid}`,
    );
  if (options.resourceVersion !== undefined && options.resourceVersion !== metadata.resourceVersion)
    throw conflict(
      kind,
      name,
      `Precondition failed: ResourceVersion in precondition: ${options.resourceVersion}, ResourceVersion in object meta: ${metadata.resourceVersion}`,
    );
}

/** Seconds that somebody gets to finish the object. A second deletion may only shorten them. */
function graceOf(kind: Kind, object: Readonly<KubeObject>, { gracePeriodSeconds }: DeleteOptions): number {
  const own = kind.gracePeriodSeconds?.(object as KubeObject) ?? 0;
  if (own === 0) return 0;
  const asked = gracePeriodSeconds === undefined ? own : Math.max(gracePeriodSeconds < 0 ? 1 : 0, gracePeriodSeconds);
  if (!object.metadata.deletionTimestamp) return asked;
  const running = object.metadata.deletionGracePeriodSeconds ?? 0;
  return gracePeriodSeconds === undefined ? running : Math.min(asked, running);
}

function finalizersAfter(kind: Kind, { metadata }: Readonly<KubeObject>, { propagation }: DeleteOptions): string[] {
  const own = [...(metadata.finalizers ?? [])];
  const last = metadata.deletionTimestamp ? undefined : kind.deletionFinalizer;
  if (last !== undefined && !own.includes(last)) own.push(last);
  const others = own.filter((finalizer) => finalizer !== 'orphan' && finalizer !== 'foregroundDeletion');
  switch (propagation) {
    case 'Orphan':
      return [...others, 'orphan'];
    case 'Foreground':
      return [...others, 'foregroundDeletion'];
    case 'Background':
      return others;
    default:
      return kind.orphansDependents && !metadata.deletionTimestamp && others.length === own.length
        ? [...own, 'orphan']
        : own;
  }
}

const isHeldNamespace = (kind: Kind, object: Readonly<KubeObject>): boolean =>
  isNamespace(kind) && ((object as { spec?: { finalizers?: string[] } }).spec?.finalizers?.length ?? 0) > 0;

function isAlreadyMarked({ metadata }: Readonly<KubeObject>, grace: number, finalizers: readonly string[]): boolean {
  return (
    metadata.deletionTimestamp !== undefined &&
    (metadata.deletionGracePeriodSeconds ?? 0) === grace &&
    (metadata.finalizers ?? []).join() === finalizers.join()
  );
}

function mark(object: KubeObject, grace: number, finalizers: string[], kind: Kind): KubeObject {
  const { metadata } = object;
  const first = metadata.deletionTimestamp === undefined;
  if (first || (metadata.deletionGracePeriodSeconds ?? 0) > grace)
    metadata.deletionTimestamp = timestamp(
      Math.min(Date.now() + grace * 1000, first ? Infinity : Date.parse(metadata.deletionTimestamp!)),
    );
  if (!isNamespace(kind)) metadata.deletionGracePeriodSeconds = grace;
  if (finalizers.length > 0) metadata.finalizers = finalizers;
  else delete metadata.finalizers;
  if (isNamespace(kind))
    (object as { status?: object }).status = { ...(object as { status?: object }).status, phase: 'Terminating' };
  return object;
}

const isNamespace = (kind: Kind): boolean => kind.group === '' && kind.kind === 'Namespace';
