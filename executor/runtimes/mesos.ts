import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { delay } from '../../lib/delay.ts';
import type { Logger } from '../../lib/log.ts';
import type { ContainerInput, ContainerSession } from '../../mesos/container-io.ts';
import type { OperatorOptions } from '../../mesos/operator.ts';
import {
  type ContainerSpec,
  type ContainerUsage,
  type Exec,
  type ExecRequest,
  type Images,
  type Ran,
  type Runtime,
  type RuntimePod,
  type RuntimeVersion,
  type SandboxSpec,
  StartError,
} from '../runtime.ts';
import { FileTail } from './file-tail.ts';
import { LogFile, type LogStream } from './log-file.ts';
import { type Containerizer, MesosAgent } from './mesos-agent.ts';
import { execInContainer, feed } from './mesos-exec.ts';
import { exitOf } from './mesos-exit.ts';
import { MesosImages } from './mesos-images.ts';
import { environmentOf, launchOf, withoutEnvironmentOf } from './mesos-launch.ts';
import { noImages } from './no-images.ts';
import { powersOf } from './process-command.ts';
import { follow, runToEnd } from './process-exec.ts';
import { processId, sessionUses } from './process-table.ts';
import { type ContainerRecord, Records, recordOf } from './records.ts';

export interface MesosRuntimeOptions {
  /** The agent that this executor runs on. */
  agent: OperatorOptions;
  /** The executor's own container, and its sandbox as it sees it. */
  containerId: string;
  sandbox: string;
  /** Its process: this one. */
  pid: number;
  /** Where the records are. */
  root: string;
  /** Address of the node, which is the address of every pod. */
  nodeIp: string;
  log: Logger;
}

interface MesosRecord extends ContainerRecord {
  /** The executor's, below which it is. */
  parent: string;
  isImage: boolean;
  tty: boolean;
  /** Whether somebody can be attached to its input. */
  hasInput: boolean;
  /** How much of its output is in its log, bytes. */
  logged: Record<LogStream, number>;
}

/** A container that runs, and how we follow it. */
interface Live {
  record: MesosRecord;
  output: Record<LogStream, EventEmitter>;
  gone: Promise<void>;
  session: ContainerSession | undefined;
}

const streams = ['stdout', 'stderr'] as const;
/** How often we look whether a container is ready, ms. */
const lookEvery = 10;

/**
 * Containers nested below the executor's own, by the API of the agent that it runs on: nothing but Mesos is needed there.
 *
 *   executor's container ── <container> ── exec-… (a session)
 *
 * A pod is a record of ours; its containers are next to each other, because Mesos limits only what is directly below an
 * executor. They share the network of the executor, and they end with it: so says Mesos.
 */
export class MesosRuntime implements Runtime {
  readonly name = 'mesos';
  readonly isolates = false;
  readonly images: Images;
  readonly #options: MesosRuntimeOptions;
  readonly #agent: MesosAgent;
  readonly #containerizer: Containerizer;
  readonly #records: Records<MesosRecord>;
  readonly #powers = { ...powersOf(), pdeathsig: false }; // their parent is the agent's, which may be started anew
  readonly #live = new Map<string, Live>();
  readonly #closing = new AbortController();
  #listener: (podUid: string) => void = () => undefined;

  /** Throws MesosError while the agent does not answer. */
  static async open(options: MesosRuntimeOptions): Promise<MesosRuntime> {
    const agent = new MesosAgent(options.agent, options.containerId);
    const containerizer = await agent.containerizer(options.log);
    const runtime = new MesosRuntime(options, agent, containerizer);
    for (const record of runtime.#records.containers.values()) runtime.#afterRestart(record);
    return runtime;
  }

  private constructor(options: MesosRuntimeOptions, agent: MesosAgent, containerizer: Containerizer) {
    this.#options = options;
    this.#agent = agent;
    this.#containerizer = containerizer;
    this.#records = new Records(options.root);
    this.images = containerizer.images ? new MesosImages() : noImages;
  }

  version(): Promise<RuntimeVersion> {
    return Promise.resolve({ containerRuntimeVersion: `mesos://${this.#containerizer.version}` });
  }

  pods(): Promise<RuntimePod[]> {
    return Promise.resolve(this.#records.pods());
  }

  pod(uid: string): Promise<RuntimePod | undefined> {
    return Promise.resolve(this.#records.pods().findLast((pod) => pod.uid === uid));
  }

  createSandbox(spec: SandboxSpec): Promise<{ id: string; ip: string }> {
    return Promise.resolve(this.#records.addSandbox(spec, this.#options.nodeIp).sandbox);
  }

  stopSandbox(id: string): Promise<void> {
    return this.#records.stopSandbox(id, (container) => this.stop(container, 0));
  }

  removeSandbox(id: string): Promise<void> {
    return this.#records.removeSandbox(id, (container) => this.remove(container));
  }

  async start(spec: ContainerSpec): Promise<{ id: string }> {
    const { container } = spec;
    const id = randomUUID();
    const directory = join(this.#records.directory(spec.sandboxId), id);
    const ready = join(directory, 'pid');
    mkdirSync(join(directory, 'work'), { recursive: true });
    const { images } = this;
    const credentials = images instanceof MesosImages ? images.credentials(container.image ?? '') : undefined;
    const launch = launchOf(spec, this.#containerizer, { directory, ready, powers: this.#powers, credentials });
    const isImage = this.#containerizer.images;
    const tty = container.tty === true;
    // Without a terminal only a session has an input, and one of an image would be in its parent's.
    const isSession = container.stdin === true && !tty && !isImage;
    const record: MesosRecord = {
      ...recordOf(spec),
      ...{ id, isImage, tty, parent: this.#options.containerId },
      ...{ env: environmentOf(spec), cwd: container.workingDir || join(directory, 'work') },
      ownMounts: spec.mounts.length > 0 && !isImage,
      hasInput: container.stdin === true && (tty || isSession),
      logged: { stdout: 0, stderr: 0 },
    };
    // Recorded before anything can happen: whoever comes after us must be able to find it.
    this.#records.saveContainer(record);
    let session: ContainerSession | undefined;
    try {
      if (isSession)
        session = await this.#agent.session(id, undefined, {
          command: withoutEnvironmentOf(this.#options.pid, launch),
        });
      else await this.#agent.launch(id, launch);
    } catch (error) {
      this.#records.removeContainer(record);
      const message = `the Mesos agent launches no such container: ${error instanceof Error ? error.message : String(error)}`;
      throw new StartError('RunContainerError', message, { cause: error });
    }
    const live = this.#follow(record, session);
    const pid = isImage ? (await this.#agent.containers()).get(id)?.pid : await this.#untilReady(ready, live);
    const found = pid === undefined ? undefined : processId(pid);
    if (found) record.process = found;
    this.#records.saveContainer(record);
    this.#listener(this.#records.podOf(record));
    return { id };
  }

  /** Its volumes are where they should be, and we know its process id; or it has ended. The agent need not show it to us. */
  async #untilReady(ready: string, { gone }: Live): Promise<number | undefined> {
    let isGone = false;
    void gone.then(() => (isGone = true));
    const said = () => (existsSync(ready) ? readFileSync(ready, 'utf8') : '');
    while (!isGone && !said().endsWith('\n')) await delay(lookEvery, this.#closing.signal);
    return Number(said()) || undefined;
  }

  async stop(containerId: string, graceSeconds: number): Promise<void> {
    const live = this.#live.get(containerId);
    if (!live) return;
    const isThere = await this.#agent.kill(containerId, graceSeconds > 0 ? 15 : 9);
    if (isThere && graceSeconds > 0) {
      const over = new AbortController();
      void live.gone.then(() => over.abort());
      await delay(graceSeconds * 1000, over.signal).then(
        () => this.#agent.kill(containerId, 9),
        () => undefined,
      );
    }
    await live.gone;
  }

  async remove(containerId: string): Promise<void> {
    await this.stop(containerId, 0);
    const record = this.#records.containers.get(containerId);
    if (!record) return;
    if (record.parent === this.#options.containerId) await this.#agent.remove(containerId);
    this.#records.removeContainer(record);
  }

  /** As the agent measures it, or from the processes themselves where its isolators measure nothing of nested containers. */
  async usage(): Promise<ContainerUsage[]> {
    const [shown, sessions] = [await this.#agent.containers(), sessionUses()];
    return [...this.#live.values()].map(({ record }) => {
      const { statistics } = shown.get(record.id) ?? {};
      const { cpus_user_time_secs: user, cpus_system_time_secs: system = 0, mem_rss_bytes } = statistics ?? {};
      const seen = sessions.get(record.process?.pid ?? -1) ?? { cpuNanos: 0, memory: 0, workingSet: 0, rss: 0 };
      const rss = mem_rss_bytes === undefined ? seen.rss : Number(mem_rss_bytes);
      return {
        ...{ id: record.id, podUid: this.#records.podOf(record), name: record.name },
        ...{ startedAt: record.startedAt, at: Date.now() },
        cpuNanos: user === undefined ? seen.cpuNanos : (user + system) * 1e9,
        ...{ memory: rss, workingSet: rss, rss },
      };
    });
  }

  /** The API of Mesos changes no container that runs. */
  resize(): Promise<boolean> {
    return Promise.resolve(false);
  }

  onChange(listener: (podUid: string) => void): void {
    this.#listener = listener;
  }

  // async, so that a container that is not running is a rejection and not a throw
  async exec(containerId: string, request: ExecRequest): Promise<Exec> {
    const { record } = this.#running(containerId);
    if (record.ownMounts && this.#containerizer.pids)
      throw new Error(
        'on this agent containers have process ids of their own (isolator namespaces/pid): a command cannot enter the mounts of a container without image',
      );
    return execInContainer(this.#agent, record, request, this.#closing.signal);
  }

  async run(
    containerId: string,
    command: string[],
    timeoutMs: number | undefined,
    signal: AbortSignal,
  ): Promise<Ran | 'late'> {
    return runToEnd((request) => this.exec(containerId, request), command, timeoutMs, signal);
  }

  async attach(containerId: string, request: Omit<ExecRequest, 'command'>): Promise<Exec> {
    const { output, record, gone } = this.#running(containerId);
    const detach = streams.map((name) => follow(output[name], request[name]));
    let input: ContainerInput | undefined;
    if (record.hasInput && (request.stdin || record.tty)) input = this.#agent.input(containerId);
    // What it is told is its own affair: the one who is attached leaves, its input stays open.
    if (input && request.stdin) void feed(request.stdin, { ...input, end: () => Promise.resolve() }, false);
    const { promise: left, resolve } = Promise.withResolvers<void>();
    return {
      done: Promise.race([gone, left]).then(() => {
        detach.forEach((stop) => stop());
        input?.close();
        return this.#records.containers.get(containerId)?.exitCode ?? 0;
      }),
      resize: (columns, rows) => input?.resize(columns, rows),
      kill: resolve,
    };
  }

  async connect(sandboxId: string, port: number): Promise<Duplex> {
    if (!this.#records.sandboxes.has(sandboxId)) throw new Error('the pod is gone');
    const socket = connectSocket({ host: '127.0.0.1', port });
    await once(socket, 'connect');
    return socket;
  }

  /** Containers go on until the agent ends the executor's; only those with an input that is no terminal end now. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the executor is stopping'));
    await Promise.all([...this.#live.values()].map(({ gone }) => gone));
  }

  #running(containerId: string): Live {
    const live = this.#live.get(containerId);
    if (!live) throw new Error('the container is not running');
    return live;
  }

  /** Its output into its log, and its end into its record. */
  #follow(record: MesosRecord, session: ContainerSession | undefined): Live {
    const output = { stdout: new EventEmitter(), stderr: new EventEmitter() };
    const live: Live = { record, output, session, gone: this.#untilEnded(record, output, session) };
    this.#live.set(record.id, live);
    void live.gone.then(() => this.#live.delete(record.id));
    return live;
  }

  async #untilEnded(record: MesosRecord, output: Live['output'], session: ContainerSession | undefined): Promise<void> {
    const { log, sandbox } = this.#options;
    const file = new LogFile(record.logPath);
    const directory = join(sandbox, 'containers', record.id);
    const take = (stream: LogStream) => (chunk: Buffer) => {
      try {
        file.write(stream, chunk);
      } catch (err) {
        log.warn({ err, container: record.name }, 'container log could not be written');
      }
      output[stream].emit('data', chunk);
    };
    const tails = streams.map((name) => new FileTail(join(directory, name), take(name), record.logged[name]));
    // The agent holds a session’s command up until somebody takes its output; it is in the files, too.
    if (session) void discard(session);
    let end: ReturnType<typeof exitOf> | undefined;
    try {
      end = exitOf(await this.#agent.ended(record.id, undefined, this.#closing.signal));
    } catch (err) {
      if (!this.#closing.signal.aborted)
        log.error({ err, container: record.name }, 'the agent does not say how a container ends');
    }
    const [stdout = 0, stderr = 0] = await Promise.all(tails.map((tail) => tail.finish()));
    file.end();
    session?.close();
    Object.assign(record, { logged: { stdout, stderr } });
    if (end) Object.assign(record, { state: 'exited', finishedAt: Date.now(), ...end });
    if (!this.#records.containers.has(record.id)) return;
    this.#records.saveContainer(record);
    if (end) this.#listener(this.#records.podOf(record));
  }

  /** Of this very executor they are followed on; those of an earlier one ended with it. */
  #afterRestart(record: MesosRecord): void {
    if (record.state === 'exited') return;
    if (record.parent === this.#options.containerId) return void this.#follow(record, undefined);
    this.#records.saveContainer({
      ...record,
      state: 'exited',
      finishedAt: Date.now(),
      exitCode: 137,
      reason: 'Error',
      message: 'the executor below which it ran ended, and Mesos ends with an executor what is nested below it',
    });
  }
}

async function discard({ output }: ContainerSession): Promise<void> {
  try {
    for await (const _ of output);
  } catch {
    // The connection is gone: the agent ends the container, and says so to whoever waits for it.
  }
}
