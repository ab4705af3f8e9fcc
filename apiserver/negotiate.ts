import { StatusError } from '../api/status.ts';

/** The form in which a caller wants answers. */
export interface Output {
  media: 'json' | 'yaml' | 'protobuf';
  as: 'object' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList';
  /** apiVersion of the Table or PartialObjectMetadata: `meta.k8s.io/v1`. */
  version: string;
}

export const json: Output = { media: 'json', as: 'object', version: '' };

export const contentTypes = {
  json: 'application/json',
  yaml: 'application/yaml',
  protobuf: 'application/vnd.kubernetes.protobuf',
} as const;

const known = new Map<string, Output>();

/** What can be sent: protobuf only of kinds that have a message, and a stream of YAML there is not. */
export interface Sendable {
  protobuf: boolean;
  watch: boolean;
}

/** Reads an Accept header; throws 406 when nothing in it can be served. */
export function negotiate(accept: string | undefined, sendable: Sendable): Output {
  if (!accept || accept === '*/*' || accept === 'application/json') return json;
  const key = `${sendable.protobuf} ${sendable.watch} ${accept}`;
  const before = known.get(key);
  if (before) return before;
  const output = choose(accept, sendable);
  if (!output) throw notAcceptable();
  if (known.size < 256) known.set(key, output);
  return output;
}

/** Would the caller rather have protobuf than JSON? For refusals, which are sent before all is known. */
export const prefersProtobuf = (accept: string | undefined): boolean =>
  accept?.trimStart().startsWith(contentTypes.protobuf) ?? false;

export const notAcceptable = (): StatusError =>
  new StatusError(
    406,
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
  );

function choose(accept: string, sendable: Sendable): Output | undefined {
  const clauses = accept.split(',').map((clause) => {
    const [type = '', ...parameters] = clause.split(';').map((part) => part.trim());
    return {
      type: type.toLowerCase(),
      parameters: new Map(parameters.map((p) => p.split('=', 2) as [string, string])),
    };
  });
  const quality = (clause: (typeof clauses)[number]) => Number(clause.parameters.get('q') ?? 1);
  for (const clause of clauses.map((c) => c).sort((a, b) => quality(b) - quality(a))) {
    const output = accepted(clause.type, clause.parameters, sendable);
    if (output) return output;
  }
  return undefined;
}

function accepted(type: string, parameters: ReadonlyMap<string, string>, sendable: Sendable): Output | undefined {
  const media = mediaOf(type);
  if (!media || (media === 'protobuf' && !sendable.protobuf) || (media === 'yaml' && sendable.watch)) return undefined;
  const as = parameters.get('as');
  if (as === undefined) return { media, as: 'object', version: '' };
  const group = parameters.get('g') ?? '';
  const version = parameters.get('v') ?? '';
  if (group !== 'meta.k8s.io' || !['v1', 'v1beta1'].includes(version)) return undefined;
  if (media === 'protobuf' && as === 'Table') return undefined;
  if (as !== 'Table' && as !== 'PartialObjectMetadata' && as !== 'PartialObjectMetadataList') return undefined;
  return { media, as, version: `${group}/${version}` };
}

function mediaOf(type: string): Output['media'] | undefined {
  switch (type) {
    case 'application/json':
    case 'application/*':
    case '*/*':
      return 'json';
    case 'application/yaml':
    case 'application/x-yaml':
      return 'yaml';
    case 'application/vnd.kubernetes.protobuf':
      return 'protobuf';
    default:
      return undefined;
  }
}
