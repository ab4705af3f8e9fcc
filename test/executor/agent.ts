import { type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import { executorCall, executorEvent } from '../../mesos/codec.ts';
import type { CallSubscribe, Event } from '../../mesos/executor.ts';
import { encodeRecord } from '../../mesos/recordio.ts';
import type { TaskStatus } from '../../mesos/tasks.ts';

const token = 'token of the executor';

/** The agent's end of the executor API: takes one executor by its token, keeps what it says, says what the test wants. */
export class TestAgent {
  readonly port: number;
  updates: TaskStatus[] = [];
  subscriptions: CallSubscribe[] = [];
  acknowledges = true;
  /** What it has. */
  cpus = 4;
  readonly #server: ReturnType<typeof createServer>;
  readonly #data: Uint8Array;
  #stream: ServerResponse | undefined;

  static async start(data: object): Promise<TestAgent> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new TestAgent(server, Buffer.from(JSON.stringify(data)));
  }

  private constructor(server: ReturnType<typeof createServer>, data: Uint8Array) {
    this.#server = server;
    this.#data = data;
    this.port = (server.address() as AddressInfo).port;
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        if (request.headers.authorization === `Bearer ${token}`) this.#take(Buffer.concat(chunks), response);
        else response.writeHead(401).end('401 Unauthorized.');
      });
    });
  }

  env(sandbox: string): Record<string, string> {
    return {
      MESOS_FRAMEWORK_ID: 'framework-1',
      MESOS_EXECUTOR_ID: 'km-test',
      MESOS_SLAVE_ID: 'agent-1',
      MESOS_AGENT_ENDPOINT: `127.0.0.1:${this.port}`,
      MESOS_SANDBOX: sandbox,
      MESOS_CHECKPOINT: '1',
      MESOS_RECOVERY_TIMEOUT: '15mins',
      MESOS_SUBSCRIPTION_BACKOFF_MAX: '100ms',
      MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD: '5secs',
      MESOS_EXECUTOR_AUTHENTICATION_TOKEN: token,
    };
  }

  send(event: Event): void {
    this.#stream!.write(encodeRecord(executorEvent.encode(event, 'application/x-protobuf')));
  }

  launch(pod: { namespace: string; name: string; uid: string }, attempt = 0): string {
    const id = `pod.${pod.uid}.${attempt}`;
    const data = Buffer.from(JSON.stringify(pod));
    this.send({
      type: 'LAUNCH',
      launch: { task: { name: pod.name, task_id: { value: id }, agent_id: { value: 'agent-1' }, data } },
    });
    return id;
  }

  states(taskId: string): string[] {
    return this.updates.filter((u) => u.task_id.value === taskId).map((u) => u.state);
  }

  /** The stream breaks, as when the agent is started again. */
  drop(): void {
    this.#stream?.destroy();
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #take(body: Buffer, response: ServerResponse): void {
    const call = executorCall.decode(body, 'application/x-protobuf');
    if (call.type === 'SUBSCRIBE') {
      this.subscriptions.push(call.subscribe);
      response.writeHead(200, { 'content-type': 'application/x-protobuf' });
      this.#stream = response;
      this.send({
        type: 'SUBSCRIBED',
        subscribed: {
          executor_info: {
            executor_id: { value: 'km-test' },
            data: this.#data,
            resources: [{ name: 'cpus', type: 'SCALAR', scalar: { value: 0.1 } }],
          },
          framework_info: { user: 'root', name: 'km', capabilities: [{ type: 'TASK_KILLING_STATE' }] },
          agent_info: {
            hostname: 'Node-One',
            id: { value: 'agent-1' },
            resources: [
              { name: 'cpus', type: 'SCALAR', scalar: { value: this.cpus } },
              { name: 'mem', type: 'SCALAR', scalar: { value: 2048 } },
            ],
          },
          container_id: { value: randomUUID() },
        },
      });
      return;
    }
    response.writeHead(202).end();
    if (call.type !== 'UPDATE') return;
    const { status } = call.update;
    this.updates.push(status);
    if (this.acknowledges)
      this.send({ type: 'ACKNOWLEDGED', acknowledged: { task_id: status.task_id, uuid: status.uuid! } });
  }
}
