import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { ListAnswer } from '../call.ts';
import type { Entry } from '../encoding.ts';
import { notAcceptable } from '../negotiate.ts';
import { encodeMessage, envelope, itemHead, listHead } from './encode.ts';
import { messageFor, messageOfKind, meta } from './fields.ts';

/** Whole bodies, in pieces so that an object's bytes are made once and never copied. */

export const listMeta = (list: ListAnswer) => ({
  resourceVersion: String(list.revision),
  ...(list.continue ? { continue: list.continue } : {}),
  ...(list.remaining !== undefined ? { remainingItemCount: list.remaining } : {}),
});

export function objectBody(kind: Kind, entry: Entry): Buffer[] {
  const bytes = bytesOf(kind, entry);
  return [envelope(kind.apiVersion, kind.kind, bytes.length), bytes];
}

export const protobufList = (kind: Kind, list: ListAnswer): Buffer[] =>
  listBody(
    kind.apiVersion,
    kind.listKind,
    list,
    list.entries.map((entry) => bytesOf(kind, entry)),
  );

export const partialBody = (object: Readonly<KubeObject>, apiVersion: string): Buffer[] => {
  const bytes = partialBytes(object);
  return [envelope(apiVersion, 'PartialObjectMetadata', bytes.length), bytes];
};

export const protobufPartialList = (list: ListAnswer, apiVersion: string): Buffer[] =>
  listBody(
    apiVersion,
    'PartialObjectMetadataList',
    list,
    list.entries.map(({ object }) => partialBytes(object)),
  );

/** A Status, a Scale, an answer to a question: anything that says its kind. Throws 406 when it has no message. */
export function valueBody(value: { apiVersion: string; kind: string }): Buffer[] {
  const { apiVersion, kind } = value;
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const message = messageFor(group!, version!, kind);
  if (!message) throw notAcceptable();
  const bytes = encodeMessage(value, message);
  return [envelope(apiVersion, kind, bytes.length), bytes];
}

const bytesOf = (kind: Kind, entry: Entry): Buffer =>
  entry.protobuf((object) => encodeMessage(object, messageOfKind(kind)!));

const partialBytes = ({ metadata }: Readonly<KubeObject>): Buffer =>
  encodeMessage({ metadata }, `${meta}.PartialObjectMetadata`);

function listBody(apiVersion: string, kind: string, list: ListAnswer, items: readonly Buffer[]): Buffer[] {
  const chunks = [listHead(listMeta(list))];
  for (const item of items) chunks.push(itemHead(item.length), item);
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return [envelope(apiVersion, kind, length), ...chunks];
}
