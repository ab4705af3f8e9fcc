/** Which agents there are: as options say it, and as the code wants it. */
import type { Attribute, DomainInfo, Resource } from '../mesos/types.ts';
import { parseAttributes, parseResources } from './resource-text.ts';

/** Text as in the flags of a Mesos agent: `rack:r1;os:linux`, `cpus:4;mem:4096;ports:[31000-31200]`, `eu/z1`. */
export interface AgentSpec {
  hostname?: string | undefined;
  port?: number | undefined;
  attributes?: string | undefined;
  domain?: string | undefined;
  resources?: string | undefined;
  /** What may be used besides, revocable: what a fixed resource estimator says. */
  oversubscribed?: string | undefined;
  /** Only pretends to run tasks. */
  simulated?: boolean | undefined;
  /** `--http_command_executor` */
  httpCommandExecutor?: boolean | undefined;
}

export interface ParsedAgent {
  resources: Resource[];
  oversubscribed: Resource[];
  attributes: Attribute[];
  domain: DomainInfo | undefined;
  simulated: boolean;
  httpCommandExecutor: boolean;
}

const three: readonly AgentSpec[] = [
  {
    attributes: 'rack:r1;os:linux;cores_ghz:2.75',
    domain: 'eu/z1',
    resources: 'cpus:4;mem:8192;disk:20480;ports:[1024-31999]',
  },
  {
    attributes: 'rack:r2;os:linux;ssd:true',
    domain: 'eu/z2',
    resources: 'cpus:8;mem:16384;disk:40960;ports:[32000-32999]',
  },
  { attributes: 'rack:r3;os:linux', domain: 'eu/z3', resources: 'cpus:2;mem:4096;disk:10240;ports:[33000-65535]' },
];
/** What a Mesos agent says that cannot look at its machine. */
const usual = 'cpus:1;mem:1024;disk:10240;ports:[31000-32000]';

/** Throws an Error that says what would be right. */
export function agentSpecs(
  given: readonly AgentSpec[] | string,
  simulated: number,
): { spec: AgentSpec; parsed: ParsedAgent }[] {
  const listed =
    typeof given !== 'string' ? given : given.trim() === '' ? (simulated > 0 ? [] : three) : parseList(given);
  const pretending = Array.from({ length: simulated }, (_, i) => ({
    hostname: `simulated-${i + 1}`,
    attributes: `rack:r${i % 50}`,
    domain: `eu/z${(i % 3) + 1}`,
    resources: 'cpus:16;mem:65536;disk:102400;ports:[31000-32000]',
    simulated: true,
  }));
  return [...listed, ...pretending].map((spec) => ({ spec, parsed: parse(spec) }));
}

function parseList(json: string): AgentSpec[] {
  try {
    const list = JSON.parse(json) as unknown;
    if (Array.isArray(list)) return list as AgentSpec[];
  } catch (error) {
    throw new Error(
      `agents: expected a JSON list of {hostname, attributes, domain, resources}: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
  throw new Error('agents: expected a JSON list of {hostname, attributes, domain, resources}');
}

function parse({
  attributes = '',
  domain,
  resources = usual,
  oversubscribed = '',
  simulated = false,
  httpCommandExecutor = false,
}: AgentSpec): ParsedAgent {
  const [region, zone = ''] = domain?.split('/') ?? [];
  return {
    resources: parseResources(resources),
    oversubscribed: parseResources(oversubscribed),
    attributes: parseAttributes(attributes),
    domain: region === undefined ? undefined : { fault_domain: { region: { name: region }, zone: { name: zone } } },
    simulated,
    httpCommandExecutor,
  };
}
