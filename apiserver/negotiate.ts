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

/** Reads an Accept header; throws 406 when nothing in it can be served. */
export function negotiate(accept: string | undefined): Output {
  if (!accept || accept === '*/*' || accept === 'application/json') return json;
  const before = known.get(accept);
  if (before) return before;
  const output = choose(accept);
  if (!output) throw notAcceptable();
  if (known.size < 256) known.set(accept, output);
  return output;
}

export const notAcceptable = (): StatusError =>
  new StatusError(
    406,
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
  );

function choose(accept: string): Output | undefined {
  const clauses = accept.split(',').map((clause) => {
    const [type = '', ...parameters] = clause.split(';').map((part) => part.trim());
    return {
      type: type.toLowerCase(),
      parameters: new Map(parameters.map((p) => p.split('=', 2) as [string, string])),
    };
  });
  const quality = (clause: (typeof clauses)[number]) => Number(clause.parameters.get('q') ?? 1);
  for (const clause of clauses.map((c) => c).sort((a, b) => quality(b) - quality(a))) {
    const output = accepted(clause.type, clause.parameters);
    if (output) return output;
  }
  return undefined;
}

function accepted(type: string, parameters: ReadonlyMap<string, string>): Output | undefined {
  const media = mediaOf(type);
  if (!media) return undefined;
  const as = parameters.get('as');
  if (as === undefined) return { media, as: 'object', version: '' };
  const group = parameters.get('g') ?? '';
  const version = parameters.get('v') ?? '';
  if (group !== 'meta.k8s.io' || !['v1', 'v1beta1'].includes(version) || media === 'protobuf') return undefined;
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
      return servesProtobuf ? 'protobuf' : undefined;
    default:
      return undefined;
  }
}

/** Built-in kinds answer JSON until the encoder is there; clients that prefer protobuf also name JSON. */
const servesProtobuf = false;
