/** What a master knows. Plain data; the rules are in the files beside it. */
import type { ExecutorInfo, KillPolicy, Task, TaskInfo, TaskState, TaskStatus } from '../mesos/tasks.ts';
import type { OfferOperation, Operation, OperationStatus } from '../mesos/offers.ts';
import type {
  AgentInfo,
  DrainConfig,
  DrainInfo,
  FrameworkInfo,
  MachineID,
  MasterInfo,
  Resource,
  Unavailability,
} from '../mesos/types.ts';
import type { Event, OfferConstraints } from '../mesos/scheduler.ts';
import type { Event as OperatorEvent, InverseOfferStatus, Schedule } from '../mesos/master.ts';
import type { Logger } from '../lib/log.ts';
import type { Authorization } from './authorization.ts';
import type { RecordStream } from './http.ts';
import type { Quota } from './rations.ts';
import type { Timings } from './timings.ts';

/** A running or ended task, with the resources it holds. */
export interface TaskRecord {
  task: Task;
  /** Of the newest update that was forwarded, until it is acknowledged. */
  unacknowledged: Uint8Array | undefined;
  /** Whether its resources were given back. */
  freed: boolean;
}

export interface Filter {
  resources: Resource[];
  /** Milliseconds since 1970. */
  until: number;
}

export interface Framework {
  id: string;
  info: FrameworkInfo;
  capabilities: ReadonlySet<string>;
  roles: string[];
  suppressed: Set<string>;
  constraints: OfferConstraints | undefined;
  stream: RecordStream<Event> | undefined;
  streamId: string;
  /** Known only from its tasks after a master failover, not subscribed since. */
  recovered: boolean;
  tasks: Map<string, TaskRecord>;
  /** By agent. */
  unreachable: Map<string, Task>;
  completed: Task[];
  /** By agent and executor id: `agent/executor`. */
  executors: Map<string, { agent: string; info: ExecutorInfo }>;
  /** By `role/agent`. */
  filters: Map<string, Filter[]>;
  /** Agents that it is not asked for again until then, milliseconds since 1970. */
  inverseFilters: Map<string, number>;
  /** How many offers were made to it, by role: who got fewer comes first among equals. */
  served: Map<string, number>;
  registeredAt: number;
  reregisteredAt: number;
  unregisteredAt: number;
  heartbeat: NodeJS.Timeout | undefined;
  removal: NodeJS.Timeout | undefined;
}

/** The agent's side of the link, as the master uses it. Everything may get lost on the way while the link is cut. */
export interface AgentLink {
  run(work: Work): void;
  kill(frameworkId: string, taskId: string, policy: KillPolicy | undefined): void;
  acknowledge(frameworkId: string, taskId: string, uuid: Uint8Array): void;
  message(frameworkId: string, executorId: string, data: Uint8Array): void;
  shutdownExecutor(frameworkId: string, executorId: string): void;
  shutdownFramework(frameworkId: string): void;
  frameworkChanged(info: FrameworkInfo): void;
  operate(order: OperationOrder): void;
  acknowledgeOperation(frameworkId: string, operationId: string, uuid: Uint8Array): void;
  /** The master waits for the end of an operation, of which the agent may never have heard. */
  settleOperation(frameworkId: string, operationId: string): void;
  /** Tasks that the master has in its books here: which of them never were, the agent says itself. */
  reconcile(framework: FrameworkInfo, taskIds: readonly string[]): void;
  /** Every task is to be killed, and none taken any more. */
  drain(config: DrainConfig): void;
  /** The agent is told to end. */
  shutdown(reason: string): void;
}

/** A change of the agent's resources. */
export interface OperationOrder {
  /** Of the framework that asked; undefined for an operator. */
  frameworkId: string | undefined;
  /** Without allocation_info. */
  operation: OfferOperation;
  uuid: Uint8Array;
}

/** One LAUNCH of a task, or one LAUNCH_GROUP. */
export interface Work {
  framework: FrameworkInfo;
  executor: ExecutorInfo | undefined;
  tasks: TaskInfo[];
  isGroup: boolean;
}

/** What an agent tells when it registers; with an id and what runs there when it did so before. */
export interface Registration {
  info: AgentInfo;
  id: string | undefined;
  pid: string;
  link: AgentLink;
  /** What it has, with reservations and volumes as it remembers them. */
  total: Resource[];
  tasks: Task[];
  executors: ExecutorInfo[];
  frameworks: FrameworkInfo[];
}

/** The master's side of the link. */
export interface MasterLink {
  /** Gives the agent's id; undefined when it must not come (marked gone). */
  register(registration: Registration): string | undefined;
  update(agentId: string, frameworkId: string, status: TaskStatus, latest: TaskState): void;
  operationStatus(agentId: string, frameworkId: string, status: OperationStatus): void;
  /** What may be used besides, all of it. */
  oversubscribed(agentId: string, estimate: readonly Resource[]): void;
  executorMessage(agentId: string, frameworkId: string, executorId: string, data: Uint8Array): void;
  executorEnded(agentId: string, frameworkId: string, executorId: string, status: number): void;
  disconnected(agentId: string): void;
  unregister(agentId: string): void;
}

export interface Agent {
  id: string;
  info: AgentInfo;
  pid: string;
  link: AgentLink;
  /** Whether messages get through: false from the moment the connection broke. */
  connected: boolean;
  total: Resource[];
  /** Held by tasks and executors, with allocation_info. */
  used: Resource[];
  offers: Set<string>;
  registeredAt: number;
  reregisteredAt: number;
  /** Cut by a fault: nothing gets through, and only the missing pings will tell. */
  partitioned: boolean;
  pings: NodeJS.Timeout | undefined;
  /** What is free, until it changes. */
  free: Resource[] | undefined;
}

export interface Offer {
  id: string;
  framework: Framework;
  agent: Agent;
  role: string;
  resources: Resource[];
  timer: NodeJS.Timeout | undefined;
}

/** What outlives a master: the registry, which real masters replicate among them. */
export interface Registry {
  admitted: Map<string, AgentInfo>;
  /** When it became unreachable, in nanoseconds since 1970. */
  unreachable: Map<string, bigint>;
  gone: Map<string, bigint>;
  /** Of roles, where an operator set them. */
  weights: Map<string, number>;
  quotas: Map<string, Quota>;
  /** In the maintenance schedule, by host name and address. */
  machines: Map<string, Machine>;
  schedule: Schedule;
  /** Ids of agents whose resources nobody shall be offered. */
  deactivated: Set<string>;
  /** By agent. */
  drains: Map<string, Drain>;
}

export interface Drain {
  info: DrainInfo;
  /** Milliseconds since 1970. */
  since: number;
}

export interface Machine {
  id: MachineID;
  unavailability: Unavailability;
  isDown: boolean;
  /** What frameworks answered to inverse offers, by their id. */
  statuses: Map<string, InverseOfferStatus>;
}

export interface Master {
  info: MasterInfo;
  log: Logger;
  timings: Timings;
  /** Agents with GPUs are only for frameworks with GPU_RESOURCES. */
  filterGpus: boolean;
  /** The only roles there may be; undefined: any. */
  roles: readonly string[] | undefined;
  /** Whether it asks who calls. */
  authenticates: boolean;
  /** What principals may. */
  authorization: Authorization;
  registry: Registry;
  frameworks: Map<string, Framework>;
  completed: Map<string, Framework>;
  agents: Map<string, Agent>;
  /** In the registry, but not yet back at this master. */
  recovered: Map<string, AgentInfo>;
  offers: Map<string, Offer>;
  /** Outstanding ones. */
  inverseOffers: Map<string, { framework: Framework; agent: Agent }>;
  /** Those with an id whose end was not acknowledged, by `framework/operation`. */
  operations: Map<string, Operation>;
  operators: Set<RecordStream<OperatorEvent>>;
  numbers: { framework: number; agent: number; offer: number; round: number };
  startedAt: number;
  electedAt: number;
  /** Asks for a round of offers soon: of one agent, or all. */
  allocateSoon(agent?: Agent): void;
}

/** The agent, when a message would get there. */
export function reach(master: Master, agentId: string): Agent | undefined {
  const agent = master.agents.get(agentId);
  return agent && agent.connected && !agent.partitioned ? agent : undefined;
}
