import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { options, start, type Deps, type Devcluster } from '../../devcluster/index.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import type { Call, Event } from '../../mesos/scheduler.ts';
import { openSession, schedulerApi, type Session } from '../../mesos/session.ts';
import type { ExecutorInfo, TaskInfo, TaskStatus } from '../../mesos/tasks.ts';
import type { Offer, OfferOperation, OperationStatus } from '../../mesos/offers.ts';
import type { Credentials } from '../../mesos/transport.ts';
import type { FrameworkInfo, Resource } from '../../mesos/types.ts';

const stops: (() => unknown)[] = [];

/** Something to be undone after the test. */
export const atEnd = (stop: () => unknown): void => void stops.push(stop);

/** For afterEach. */
export async function endAll(): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

export async function cluster(
  deps: Partial<Deps> = {},
  more: Partial<Parameters<typeof start>[0]> = {},
): Promise<Devcluster> {
  const stop = new AbortController();
  const o = { ...defaultsOf(options), port: 0, agentPort: 0, ...more };
  const started = await start(o, {
    log: silent,
    signal: stop.signal,
    environment: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` },
    ...deps,
    timings: { allocationInterval: 20, builtinExecutorStart: 1, ...deps.timings },
  });
  stops.push(async () => {
    stop.abort();
    await started.closed;
  });
  return started;
}

/** A framework as tests need one: it keeps what it hears, and acknowledges. */
export class Framework {
  readonly statuses: TaskStatus[] = [];
  readonly events: Event[] = [];
  offers: Offer[] = [];
  id = '';
  acknowledges = true;
  readonly session: Session<Call, Event>;

  constructor(session: Session<Call, Event>) {
    this.session = session;
    void this.#listen().catch(() => undefined);
  }

  static async open(
    url: string,
    more: Partial<FrameworkInfo> = {},
    contentType?: 'application/json',
    credentials?: Credentials,
  ): Promise<Framework> {
    const framework_info: FrameworkInfo = {
      user: 'root',
      name: 'test',
      roles: ['*'],
      checkpoint: true,
      failover_timeout: 60,
      capabilities: (
        ['MULTI_ROLE', 'PARTITION_AWARE', 'RESERVATION_REFINEMENT', 'TASK_KILLING_STATE', 'REGION_AWARE'] as const
      ).map((type) => ({ type })),
      ...more,
    };
    const session = await openSession({
      protocol: schedulerApi,
      url,
      contentType,
      credentials,
      subscribe: {
        type: 'SUBSCRIBE',
        ...(more.id ? { framework_id: more.id } : {}),
        subscribe: { framework_info },
      },
    });
    stops.push(() => session.close());
    const framework = new Framework(session);
    await until('SUBSCRIBED', () => framework.id !== '');
    return framework;
  }

  async #listen(): Promise<void> {
    for await (const event of this.session.events) {
      this.events.push(event);
      if (event.type === 'SUBSCRIBED') this.id = event.subscribed.framework_id.value;
      if (event.type === 'OFFERS') this.offers.push(...(event.offers.offers ?? []));
      if (event.type === 'RESCIND')
        this.offers = this.offers.filter((o) => o.id.value !== event.rescind.offer_id.value);
      if (event.type !== 'UPDATE') continue;
      const { status } = event.update;
      this.statuses.push(status);
      if (this.acknowledges && status.uuid) await this.acknowledge(status);
    }
  }

  acknowledge({ agent_id, task_id, uuid }: TaskStatus): Promise<void> {
    return this.call({ type: 'ACKNOWLEDGE', acknowledge: { agent_id: agent_id!, task_id, uuid: uuid! } });
  }

  call(call: Call): Promise<void> {
    return this.session.call({ ...call, framework_id: { value: this.id } });
  }

  async offer(agentId?: string): Promise<Offer> {
    const fits = (offer: Offer) => agentId === undefined || offer.agent_id.value === agentId;
    await until('an offer', () => this.offers.some(fits));
    const at = this.offers.findIndex(fits);
    return this.offers.splice(at, 1)[0]!;
  }

  launch(offer: Offer, ...task_infos: TaskInfo[]): Promise<void> {
    return this.accept(offer, { type: 'LAUNCH', launch: { task_infos } });
  }

  /** Operations that must not leave anything for others to wait for. */
  accept(offer: Offer, ...operations: OfferOperation[]): Promise<void> {
    return this.call({ type: 'ACCEPT', accept: { offer_ids: [offer.id], operations, filters: { refuse_seconds: 0 } } });
  }

  /** How an operation ended; acknowledged. */
  async ended(operationId: string): Promise<OperationStatus> {
    const found = () =>
      this.events
        .flatMap((event) => (event.type === 'UPDATE_OPERATION_STATUS' ? [event.update_operation_status.status] : []))
        .findLast(({ operation_id }) => operation_id?.value === operationId);
    await until(`the end of operation ${operationId}`, () => found() !== undefined);
    const status = found()!;
    const { agent_id, operation_id, uuid } = status;
    if (uuid && agent_id)
      await this.call({
        type: 'ACKNOWLEDGE_OPERATION_STATUS',
        acknowledge_operation_status: { agent_id, operation_id: operation_id!, uuid: uuid.value },
      });
    return status;
  }

  states(taskId: string): string[] {
    return this.statuses.filter((status) => status.task_id.value === taskId).map((status) => status.state);
  }

  async reached(taskId: string, state: string): Promise<TaskStatus> {
    await until(`${taskId} ${state}; so far ${this.states(taskId).join()}`, () => this.states(taskId).includes(state));
    return this.statuses.findLast((status) => status.task_id.value === taskId && status.state === state)!;
  }
}

export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`);
    await delay(5);
  }
}

export const some: Resource[] = [
  { name: 'cpus', type: 'SCALAR', scalar: { value: 0.1 } },
  { name: 'mem', type: 'SCALAR', scalar: { value: 32 } },
];
const program = pathToFileURL(join(import.meta.dirname, 'executor.mjs')).href;
export const executor = (id: string, variables: Record<string, string> = {}): ExecutorInfo => ({
  executor_id: { value: id },
  type: 'CUSTOM',
  resources: some,
  command: {
    value: './executor.mjs',
    uris: [{ value: program, executable: true, extract: false }],
    environment: { variables: Object.entries(variables).map(([name, value]) => ({ name, value, type: 'VALUE' })) },
  },
});
export const task = (id: string, offer: Offer, more: Partial<TaskInfo>): TaskInfo => ({
  name: id,
  task_id: { value: id },
  agent_id: offer.agent_id,
  resources: some,
  ...more,
});
