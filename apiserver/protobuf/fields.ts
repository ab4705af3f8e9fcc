import { readFileSync } from 'node:fs';
import type { Kind } from '../../api/kind.ts';
import { aggregatorMessages, type MessageFacts } from '../../api/schema/aggregator.ts';
import { definitionOf, definitions, type Schema } from '../../api/schema.ts';

/** Message → its fields, of every API message of Kubernetes. */
const facts: Readonly<Record<string, MessageFacts>> = {
  ...(JSON.parse(readFileSync(new URL('../../api/schema/protobuf-facts.json', import.meta.url), 'utf8')) as Record<
    string,
    MessageFacts
  >),
  ...aggregatorMessages,
};

/** The four bytes before every body; then comes a runtime.Unknown whose `raw` is the object. */
export const magic = Buffer.from('k8s\0');
export const meta = 'k8s.io.apimachinery.pkg.apis.meta.v1';
export const extensions = 'k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1';
export const unknownMessage = 'k8s.io.apimachinery.pkg.runtime.Unknown';

/** One field of a message, and how it appears in JSON. */
export interface Field {
  number: number;
  name: string;
  repeated: boolean;
  map: boolean;
  /** Members go into the parent: Go's embedded structs. */
  inline: boolean;
  /** A scalar's name, or the full name of a message. */
  type: string;
  /** JSON always has it. */
  required: boolean;
  /** The message that has the field, by its last word. */
  owner: string;
}

export const scalars = new Set(['string', 'bool', 'int32', 'int64', 'double', 'bytes']);

/** `io.k8s.api.core.v1.Pod` → `k8s.io.api.core.v1.Pod`, if there is such a message. */
export function messageOf(definition: string | undefined): string | undefined {
  const message = definition?.replace(/^io\.k8s\./, 'k8s.io.').replaceAll('-', '_');
  return message !== undefined && facts[message] ? message : undefined;
}

/** The message of a group's kind, or of one of meta/v1 such as Status and DeleteOptions. */
export function messageFor(group: string, version: string, kind: string): string | undefined {
  return messageOf(definitionOf(group, version, kind)) ?? (facts[`${meta}.${kind}`] ? `${meta}.${kind}` : undefined);
}

const served = new WeakMap<Kind, string | null>();

/** The message of a kind's objects; undefined for kinds that have none, as custom resources do. */
export function messageOfKind(kind: Kind): string | undefined {
  let message = served.get(kind);
  if (message === undefined) {
    message = messageOf(definitionOf(kind.group, kind.version, kind.kind)) ?? null;
    served.set(kind, message);
  }
  return message ?? undefined;
}

const definitionName = (message: string): string => message.replace(/^k8s\.io\./, 'io.k8s.').replaceAll('_', '-');

const known = new Map<string, readonly Field[]>();

/** The fields of a message in the order of their numbers. */
export function fieldsOf(message: string): readonly Field[] {
  let fields = known.get(message);
  if (!fields) {
    const definition = definitions[definitionName(message)];
    fields = (facts[message] ?? [])
      .map((fact) => fieldOf(fact, message, definition))
      .sort((a, b) => a.number - b.number);
    known.set(message, fields);
  }
  return fields;
}

function fieldOf(
  [number, name, type, label]: MessageFacts[number],
  message: string,
  definition: Schema | undefined,
): Field {
  const map = type.startsWith('map<');
  const valueType = map ? type.slice('map<string,'.length, -1) : type;
  const isScalar = scalars.has(valueType);
  const properties = definition?.properties;
  const jsonName = jsonNameOf(name, properties);
  return {
    number,
    name: jsonName,
    repeated: label === 'repeated',
    map,
    inline:
      !isScalar &&
      !map &&
      properties !== undefined &&
      !Object.hasOwn(properties, jsonName) &&
      message !== unknownMessage,
    type: isScalar ? valueType : absolute(valueType, message),
    required: definition?.required?.includes(jsonName) ?? false,
    owner: message.slice(message.lastIndexOf('.') + 1),
  };
}

/** A few fields are spelt otherwise in protobuf: `Webhooks`, `uID`, `ref` for `$ref`, `xKubernetesMapType`. */
function jsonNameOf(name: string, properties: Schema['properties']): string {
  if (names[name]) return names[name];
  if (!properties || Object.hasOwn(properties, name)) return name;
  const dashed = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const spelt = (key: string) => key === dashed || key === `$${name}` || key.toLowerCase() === name.toLowerCase();
  return Object.keys(properties).find(spelt) ?? name;
}

const names: Record<string, string> = { Raw: 'raw' };

const absolute = (type: string, message: string): string =>
  type.startsWith('.') ? type.slice(1) : `${message.slice(0, message.lastIndexOf('.'))}.${type}`;

/** Messages that are a bare list in JSON. */
export const isListMessage = (message: string): boolean =>
  message.endsWith('.ExtraValue') || message.endsWith('.Verbs');

/**
 * Go writes these always, for they are no pointers, and leaves their zero out of JSON. `Message.field` where other
 * messages have a pointer of that name, `-Message.field` for the exceptions.
 */
const zeroIsAbsent = new Set(
  `generation hostNetwork hostPID hostIPC stdin stdinOnce tty readOnly -AzureDiskVolumeSource.readOnly hostPort nodePort
   initialDelaySeconds Probe.timeoutSeconds periodSeconds successThreshold failureThreshold minReadySeconds paused
   publishNotReadyAddresses unschedulable observedGeneration -HorizontalPodAutoscalerStatus.observedGeneration
   healthCheckNodePort count -VolumeNodeResources.count deprecatedCount orphan force active succeeded failed authenticated
   denied availableReplicas readyReplicas fullyLabeledReplicas updatedReplicas unavailableReplicas currentReplicas
   DeploymentStatus.replicas ScaleSpec.replicas numberAvailable numberUnavailable updatedNumberScheduled chapAuthDiscovery
   chapAuthSession clusterScope globalDefault handSize queues queueLengthLimit matchingPrecedence signal sizeBytes
   sslEnabled AWSElasticBlockStoreVolumeSource.partition GCEPersistentDiskVolumeSource.partition ServiceBackendPort.number
   retryAfterSeconds code uniqueItems exclusiveMaximum exclusiveMinimum nullable x-kubernetes-embedded-resource
   x-kubernetes-int-or-string preserveUnknownFields deprecated`.split(/\s+/),
);

/** Texts that are pointers in Go: an empty one says something. */
const emptyIsSaid = new Set(
  `PersistentVolumeClaimSpec.storageClassName EndpointPort.name HostPathVolumeSource.type GRPCAction.service
   TypedLocalObjectReference.apiGroup TypedObjectReference.apiGroup`.split(/\s+/),
);

/** Would Go have left this value out of JSON? */
export function isAbsent({ name, owner, required }: Field, value: unknown): boolean {
  const full = `${owner}.${name}`;
  if (value === '') return !emptyIsSaid.has(full);
  if (required || (value !== 0 && value !== false)) return false;
  return (zeroIsAbsent.has(name) || zeroIsAbsent.has(full)) && !zeroIsAbsent.has(`-${full}`);
}
