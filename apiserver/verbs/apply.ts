import type { KubeObject } from '../../api/meta.ts';
import { badRequest, conflict, isAlreadyExists, isNotFound, modified } from '../../api/status.ts';
import { applyConfiguration, type Writer } from '../apply/ownership.ts';
import { bodyTypeOf, decodeBody, type BodyType, type Decoded } from '../body.ts';
import { keyIn, writerOf, type Answer, type Call } from '../call.ts';
import type { Entry } from '../encoding.ts';
import type { Door, Registry } from '../registry.ts';
import { writeOptions } from '../write-options.ts';

/** How often a create that lost against another one is tried as an update, and the other way round. */
const attempts = 5;

/** PATCH of the type apply: the object is made when it is not there. https://kubernetes.io/docs/reference/using-api/server-side-apply/ */
export async function apply(registry: Registry, call: Call, door: Door = 'main'): Promise<Answer> {
  const { kind, namespace } = call;
  const options = { ...writeOptions(call), applied: true };
  const config = readConfiguration(call);
  for (let attempt = 1; ; attempt++) {
    try {
      return { code: 200, kind, entry: await applyToLive(registry, call, config, door) };
    } catch (error) {
      if (!isNotFound(error) || door !== 'main') throw error;
    }
    try {
      const writer = writerOf(options, Date.now());
      const entry = await registry.create(kind, fresh(config, call, writer), namespace, options);
      return { code: 201, kind, entry };
    } catch (error) {
      if (!isAlreadyExists(error) || attempt === attempts) throw error;
    }
  }
}

/** Lays a configuration over the object that is there. */
export function applyToLive(registry: Registry, call: Call, config: KubeObject, door: Door): Promise<Entry> {
  const { kind, namespace, name } = call;
  const options = { ...writeOptions(call), applied: true };
  const writer = writerOf(options, Date.now());
  const force = call.query.get('force') === 'true';
  return registry.update(kind, keyIn(kind, namespace, name), door, options, (live) =>
    lay(live, config, call, writer, force),
  );
}

function lay(live: KubeObject, config: KubeObject, { kind, name }: Call, writer: Writer, force: boolean): KubeObject {
  const { uid, resourceVersion } = config.metadata;
  if (resourceVersion && resourceVersion !== live.metadata.resourceVersion) throw modified(kind, name);
  if (uid && uid !== live.metadata.uid)
    throw conflict(
      kind,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${live.metadata.uid}`,
    );
  return applyConfiguration(kind, live, structuredClone(config), writer, force);
}

function fresh(config: KubeObject, { kind, name }: Call, writer: Writer): KubeObject {
  const { uid, resourceVersion } = config.metadata;
  if (uid)
    throw conflict(
      kind,
      name,
      `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
    );
  if (resourceVersion) throw modified(kind, name);
  const empty = { apiVersion: kind.apiVersion, kind: kind.kind, metadata: {} };
  return applyConfiguration(kind, empty, structuredClone(config), writer, true);
}

/** The body of an apply; `type` is what it must be an object of. */
export function readConfiguration(call: Call, type: BodyType = bodyTypeOf(call.kind)): KubeObject & { spec?: object } {
  const { kind, name, namespace } = call;
  const decoded = decodeBody<KubeObject & { spec?: object }>('application/yaml', call.body, type);
  refuseUnknown(decoded, call);
  const { object } = decoded;
  const { metadata } = object;
  if (metadata.managedFields) throw badRequest('metadata.managedFields must be nil');
  if (metadata.name && metadata.name !== name)
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  metadata.name = name;
  if (kind.namespaced && metadata.namespace && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  if (kind.namespaced) metadata.namespace = namespace;
  // Decoding adds a spec where there is none; nobody applied that one.
  if (object.spec && Object.keys(object.spec).length === 0) delete object.spec;
  return object;
}

function refuseUnknown({ object, problems }: Decoded<KubeObject>, { kind, namespace, name }: Call): void {
  if (problems.length === 0) return;
  const fields = problems.map((problem) => {
    const path = /^unknown field "(.*)"$/.exec(problem)?.[1];
    return path === undefined ? problem : `.${path}: field not declared in schema`;
  });
  const who = `${namespace ? `${namespace}/` : ''}${name}; ${object.apiVersion ?? kind.apiVersion}, Kind=${kind.kind}`;
  throw badRequest(`failed to create typed patch object (${who}): ${fields.join('\n')}`);
}
