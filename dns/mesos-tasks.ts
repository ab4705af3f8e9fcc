import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import type { Answer } from 'dns-packet';
import type { Event, ResponseGetAgentsAgent } from '../mesos/master.ts';
import type { Task, TaskStatus } from '../mesos/tasks.ts';
import type { Resource } from '../mesos/types.ts';
import { type Question, type Response, type Zone, found } from './answers.ts';

interface Place {
  /** Of its container where that has one, else of its agent. */
  addresses: readonly string[];
  agentAddress: string;
  /** What the task itself listens on, and on its agent. */
  ports: readonly { number: number; protocol: 'tcp' | 'udp'; name: string }[];
  agentPorts: readonly { number: number; protocol: 'tcp' | 'udp'; name: string }[];
  /** `web-3f2a1-s0`: this one task. */
  label: string;
}

/**
 * The running tasks of every Mesos framework, under the names that Mesos-DNS gives them:
 *
 *   <task>.<framework>.<zone>                 A, AAAA   containers' addresses, or their agents'
 *   <task>.<framework>.slave.<zone>           A, AAAA   agents' addresses
 *   _<task>._<protocol>.<framework>.<zone>    SRV       ports, and likewise below slave.<zone>
 *   _<port>._<task>._<protocol>.<framework>.<zone>      the one port of that name
 *   slave.<zone>, leader.<zone>               A         the agents, the leading master
 *
 * https://mesosphere.github.io/mesos-dns/docs/naming.html. At most `most` tasks are kept; the caller is told when there are more.
 */
export class MesosTasks {
  readonly #zone: Zone;
  readonly #most: number;
  readonly #onLimit: () => void;
  readonly #tasks = new Map<string, Task>();
  /** Name → ids of tasks, `web.marathon`. */
  readonly #byName = new Map<string, Set<string>>();
  readonly #frameworks = new Map<string, string>();
  readonly #agents = new Map<string, string>();
  #leader: string | undefined;
  /** Whether a master has told of everything once. */
  #isKnown = false;

  constructor(zone: Zone, most: number, onLimit: () => void) {
    this.#zone = zone;
    this.#most = most;
    this.#onLimit = onLimit;
  }

  /** The host that the session is with; undefined while nobody leads. */
  leads(url: string | undefined): void {
    this.#leader = url === undefined ? undefined : new URL(url).hostname.replace(/^\[|\]$/g, '');
  }

  event(event: Event): void {
    switch (event.type) {
      case 'SUBSCRIBED': {
        this.#clear();
        this.#isKnown = true;
        const { get_agents, get_frameworks, get_tasks } = event.subscribed.get_state ?? {};
        for (const agent of get_agents?.agents ?? []) this.#agent(agent);
        for (const { framework_info: info } of get_frameworks?.frameworks ?? [])
          this.#frameworks.set(info.id?.value ?? '', info.name);
        for (const task of get_tasks?.tasks ?? []) this.#put(task);
        return;
      }
      case 'TASK_ADDED':
        return this.#put(event.task_added.task);
      case 'TASK_UPDATED':
        return this.#update(event.task_updated.framework_id.value, event.task_updated.status, event.task_updated.state);
      case 'AGENT_ADDED':
        return this.#agent(event.agent_added.agent);
      case 'AGENT_REMOVED':
        return this.#agentGone(event.agent_removed.agent_id.value);
      case 'FRAMEWORK_ADDED':
      case 'FRAMEWORK_UPDATED': {
        const { framework_info: info } =
          event.type === 'FRAMEWORK_ADDED' ? event.framework_added.framework : event.framework_updated.framework;
        return this.#framework(info.id?.value ?? '', info.name);
      }
      case 'FRAMEWORK_REMOVED':
        return this.#frameworkGone(event.framework_removed.framework_info.id?.value ?? '');
      default:
    }
  }

  /** Undefined for names that are not of this zone; SERVFAIL while no master has told of any, as callers keep what is said not to be. */
  answer(question: Question): Response | undefined {
    const { domain } = this.#zone;
    const name = question.name.toLowerCase().replace(/\.$/, '');
    if (name !== domain && !name.endsWith(`.${domain}`)) return undefined;
    if (!this.#isKnown)
      return {
        rcode: 'SERVFAIL',
        authoritative: false,
        answers: [],
        authorities: [],
        zone: `${domain}.`,
      };
    const labels = name === domain ? [] : name.slice(0, -domain.length - 1).split('.');
    return found(question, this.#records(name, labels), this.#zone);
  }

  #records(name: string, labels: readonly string[]): readonly Answer[] | undefined {
    const ttl = this.#zone.ttl;
    const address = (data: string): Answer[] =>
      isIP(data) === 0 ? [] : [{ type: isIP(data) === 6 ? 'AAAA' : 'A', name, ttl, data }];
    if (labels.length === 0) return [];
    if (labels.length === 1 && labels[0] === 'leader') return this.#leader ? address(this.#leader) : undefined;
    if (labels.length === 1 && labels[0] === 'slave') return [...this.#agents.values()].flatMap(address);
    const isOfAgents = labels.at(-1) === 'slave';
    const rest = isOfAgents ? labels.slice(0, -1) : labels;
    const services = rest.filter((label) => label.startsWith('_')).length;
    if (services > 0) return this.#ports(name, rest, isOfAgents);
    const places = this.#placesAt(rest);
    if (places.length === 0) return undefined;
    const all = places.flatMap((place) => (isOfAgents ? [place.agentAddress] : place.addresses));
    return [...new Set(all)].flatMap(address);
  }

  /** `_web._tcp.marathon`, `_http._web._tcp.marathon`. */
  #ports(name: string, labels: readonly string[], isOfAgents: boolean): readonly Answer[] | undefined {
    const [first = '', second = '', third = ''] = labels;
    const hasPort = third.startsWith('_');
    const [task, protocol] = (hasPort ? [second, third] : [first, second]).map((label) => label.slice(1));
    const framework = labels.slice(hasPort ? 3 : 2).join('.');
    const wanted = hasPort ? first.slice(1) : undefined;
    const zone = `${framework}.${isOfAgents ? 'slave.' : ''}${this.#zone.domain}`;
    const answers = this.#placesAt([task ?? '', framework]).flatMap(({ label, ports, agentPorts }) =>
      (isOfAgents ? agentPorts : ports)
        .filter((port) => port.protocol === protocol && (wanted === undefined || port.name === wanted))
        .map(({ number }): Answer => {
          const data = { priority: 0, weight: 0, port: number, target: `${label}.${zone}` };
          return { type: 'SRV', name, ttl: this.#zone.ttl, data };
        }),
    );
    return answers.length > 0 ? answers : undefined;
  }

  /** By the name of the tasks, or of one of them. */
  #placesAt(labels: readonly string[]): Place[] {
    const [label = '', ...framework] = labels;
    const name = (first: string) => [first, ...framework].join('.');
    const one = /^(.+)-[0-9a-f]{5}-s\d+$/.exec(label)?.[1];
    const all = (first: string) =>
      [...(this.#byName.get(name(first)) ?? [])].flatMap((key) => this.#placeOf(this.#tasks.get(key)) ?? []);
    const found = all(label);
    return found.length > 0 || !one ? found : all(one).filter((place) => place.label === label);
  }

  #placeOf(task: Task | undefined): Place | undefined {
    if (!task) return undefined;
    const agentAddress = this.#agents.get(task.agent_id.value) ?? '';
    const status = task.statuses?.findLast(({ container_status: container }) => container?.network_infos?.length);
    const own = (status?.container_status?.network_infos ?? [])
      .flatMap(({ ip_addresses: ips }) => ips ?? [])
      .flatMap(({ ip_address: ip }) => ip ?? []);
    const discovered = (task.discovery?.ports?.ports ?? []).flatMap(({ number, name = '', protocol }) =>
      (['tcp', 'udp'] as const)
        .filter((one) => protocol === undefined || protocol.toLowerCase() === one)
        .map((one) => ({ number, protocol: one, name: asLabel(name) })),
    );
    const agentPorts = portsOf(task.resources ?? []);
    const hash = createHash('sha1').update(task.task_id.value).digest('hex').slice(0, 5);
    const agent = /-S(\d+)$/.exec(task.agent_id.value)?.[1] ?? '0';
    return {
      addresses: own.length > 0 ? own : [agentAddress],
      agentAddress,
      ports: discovered.length > 0 ? discovered : agentPorts,
      agentPorts,
      label: `${nameOf(task)}-${hash}-s${agent}`,
    };
  }

  /** Those that do not run yet are kept without a name: an update says nothing but their state. */
  #put(task: Task): void {
    const key = keyOf(task.framework_id.value, task.task_id.value);
    this.#drop(key);
    if (isOver(task.state)) return;
    if (this.#tasks.size >= this.#most) return this.#onLimit();
    this.#tasks.set(key, task);
    if (task.state === 'TASK_RUNNING') this.#index(key, task);
  }

  #update(frameworkId: string, status: TaskStatus, state: Task['state']): void {
    const task = this.#tasks.get(keyOf(frameworkId, status.task_id.value));
    if (task) this.#put({ ...task, state, statuses: [...(task.statuses ?? []), status].slice(-2) });
  }

  #index(key: string, task: Task): void {
    const name = this.#fullName(task);
    this.#byName.set(name, (this.#byName.get(name) ?? new Set()).add(key));
  }

  #drop(key: string): void {
    const task = this.#tasks.get(key);
    if (!task) return;
    this.#tasks.delete(key);
    const keys = this.#byName.get(this.#fullName(task));
    keys?.delete(key);
    if (keys?.size === 0) this.#byName.delete(this.#fullName(task));
  }

  #fullName(task: Task): string {
    return `${nameOf(task)}.${asDomain(this.#frameworks.get(task.framework_id.value) ?? '')}`;
  }

  #agent({ agent_info: { id, hostname }, pid, active }: ResponseGetAgentsAgent): void {
    if (!id) return;
    // pid is `slave(1)@10.0.0.7:5051`.
    const address = /@\[?([^@\]]+)\]?:\d+$/.exec(pid ?? '')?.[1] ?? hostname;
    if (active) this.#agents.set(id.value, address);
    else this.#agents.delete(id.value);
  }

  #agentGone(id: string): void {
    this.#agents.delete(id);
    for (const [key, task] of [...this.#tasks]) if (task.agent_id.value === id) this.#drop(key);
  }

  #framework(id: string, name: string): void {
    if (this.#frameworks.get(id) === name) return;
    const own = [...this.#tasks].filter(([, task]) => task.framework_id.value === id);
    for (const [key] of own) this.#drop(key);
    this.#frameworks.set(id, name);
    for (const [, task] of own) this.#put(task);
  }

  #frameworkGone(id: string): void {
    for (const [key, task] of [...this.#tasks]) if (task.framework_id.value === id) this.#drop(key);
    this.#frameworks.delete(id);
  }

  #clear(): void {
    for (const map of [this.#tasks, this.#byName, this.#frameworks, this.#agents]) map.clear();
  }
}

const keyOf = (frameworkId: string, taskId: string): string => `${frameworkId}\n${taskId}`;

const isOver = (state: Task['state']): boolean =>
  !['TASK_STAGING', 'TASK_STARTING', 'TASK_RUNNING', 'TASK_KILLING', 'TASK_UNREACHABLE', 'TASK_LOST'].includes(state);

const nameOf = ({ discovery, name }: Task): string => asLabel(discovery?.name || name);

/** As a label of RFC 1123: `search.apps` → `search-apps`. */
export const asLabel = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[._]/g, '-')
    .replace(/[^a-z0-9-]/g, '')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');

/** Frameworks keep their dots: `marathon.prod`. */
const asDomain = (name: string): string => name.split('.').map(asLabel).filter(Boolean).join('.');

/** Mesos says of no port which protocol it is for: both. */
function portsOf(resources: readonly Resource[]): Place['agentPorts'] {
  return resources
    .filter(({ name }) => name === 'ports')
    .flatMap(({ ranges }) => ranges?.range ?? [])
    .flatMap(({ begin, end }) =>
      Array.from({ length: Math.min(Number(end) - Number(begin) + 1, 64) }, (_, i) => Number(begin) + i),
    )
    .flatMap((number) => (['tcp', 'udp'] as const).map((protocol) => ({ number, protocol, name: '' })));
}
