import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import { type Duplex, Readable } from 'node:stream';
import { delay } from '../../lib/delay.ts';
import type { Logger } from '../../lib/log.ts';
import {
  type ContainerSpec,
  type ContainerUsage,
  type Exec,
  type ExecRequest,
  type Ran,
  type Runtime,
  type RuntimePod,
  type RuntimeVersion,
  type SandboxSpec,
  StartError,
} from '../runtime.ts';
import { LogFile, type LogStream } from './log-file.ts';
import { noImages } from './no-images.ts';
import { baseEnv, commandExists, containerCommand, powersOf } from './process-command.ts';
import { attachProcess, execProcess, runToEnd } from './process-exec.ts';
import { type ContainerRecord, Records, recordOf } from './records.ts';
import { isAlive, processId, sessionUses, signalOne, signalSession } from './process-table.ts';

export interface ProcessRuntimeOptions {
  /** Where its records and the containers' directories are. */
  root: string;
  /** Address of the node, which is the address of every pod. */
  nodeIp: string;
  log: Logger;
}

/** A container whose process is our child. */
interface Live {
  record: ContainerRecord;
  child: ChildProcess;
  gone: Promise<void>;
  /** Its volumes are where they should be, or it has ended. */
  mounted: Promise<void>;
}

/** A process that left the session may hold the pipes open; this long after its parent's end, in ms, they are closed. */
const lateOutput = 2_000;

const noCommand = 'the process runtime runs commands of this machine, not images: give the container a command';
/** `kubectl run pod --image=busybox -- sh` gives arguments alone. */
const onlyArguments = `${noCommand}; it has arguments only (kubectl run takes --command before the --)`;

/**
 * Runs a container's command as a child process of the executor, in a session of its own. For trying km out:
 * no image is needed and none is used.
 *
 * It gives a command its environment, directory, user, volumes at their paths (as root on Linux), logs, signals and exit
 * codes. It does **not** isolate: network, processes, users and the machine's files are shared, limits are not enforced,
 * and the pod's address is the node's. Containers end with the executor.
 */
export class ProcessRuntime implements Runtime {
  readonly name = 'process';
  readonly isolates = false;
  readonly images = noImages;
  readonly #options: ProcessRuntimeOptions;
  readonly #records: Records<ContainerRecord>;
  readonly #powers = powersOf();
  readonly #live = new Map<string, Live>();
  #listener: (podUid: string) => void = () => undefined;

  constructor(options: ProcessRuntimeOptions) {
    this.#options = options;
    this.#records = new Records(options.root);
    for (const container of this.#records.containers.values()) this.#afterRestart(container);
  }

  version(): Promise<RuntimeVersion> {
    return Promise.resolve({ containerRuntimeVersion: 'process://1.0.0-shares-the-machine' });
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

  /** Nothing is limited here, so there is nothing to change. */
  resize(): Promise<boolean> {
    return Promise.resolve(false);
  }

  usage(): Promise<ContainerUsage[]> {
    const uses = sessionUses();
    return Promise.resolve(
      [...this.#live.values()].map(({ record, child }) => ({
        id: record.id,
        podUid: this.#records.podOf(record),
        name: record.name,
        startedAt: record.startedAt,
        at: Date.now(),
        ...(uses.get(child.pid!) ?? { cpuNanos: 0, memory: 0, workingSet: 0, rss: 0 }),
      })),
    );
  }

  async start(spec: ContainerSpec): Promise<{ id: string }> {
    const { container, pod } = spec;
    const argv = [...(container.command ?? []), ...(container.args ?? [])];
    if (!container.command?.length)
      throw new StartError('CreateContainerError', argv.length > 0 ? onlyArguments : noCommand);
    const id = randomUUID();
    const directory = join(this.#records.directory(spec.sandboxId), id);
    mkdirSync(join(directory, 'work'), { recursive: true });
    const cwd = container.workingDir || join(directory, 'work');
    const env = { ...baseEnv(pod.metadata.name ?? ''), ...Object.fromEntries(spec.env.map((e) => [e.name, e.value])) };
    if (!commandExists(argv[0]!, env.PATH ?? '', spec)) {
      const message = `exec: "${argv[0]!}": executable file not found in $PATH`;
      this.#neverStarted(spec, { id, env, cwd, message });
      throw new StartError('RunContainerError', message);
    }
    const full = containerCommand(spec, argv, this.#powers, { root: join(directory, 'root'), work: cwd });
    const child = spawn(full[0]!, full.slice(1), {
      cwd: '/',
      env,
      detached: true, // a session of its own: what is left in it can be found and ended
      stdio: [
        container.stdin ? 'pipe' : 'ignore',
        'pipe',
        'pipe',
        ...(spec.mounts.length > 0 ? ['pipe' as const] : []),
      ],
    });
    if (child.pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error];
      throw new StartError('RunContainerError', `cannot start ${full[0]!}: ${error.message}`, { cause: error });
    }
    // Recorded before anything else can happen: whoever comes after us must be able to find it.
    this.#started(child, {
      ...recordOf(spec),
      id,
      env,
      cwd,
      ...ifDefined('process', processId(child.pid)),
    });
    await this.#live.get(id)?.mounted;
    return { id };
  }

  async stop(containerId: string, graceSeconds: number): Promise<void> {
    const live = this.#live.get(containerId);
    if (!live) return;
    const { pid } = live.child;
    if (graceSeconds > 0) signalOne(pid!, 'SIGTERM');
    const late = new AbortController();
    const timer = delay(graceSeconds * 1000, late.signal).then(
      () => signalSession(pid!, 'SIGKILL'),
      () => 0,
    );
    await live.gone;
    late.abort();
    await timer;
  }

  async remove(containerId: string): Promise<void> {
    await this.stop(containerId, 0);
    const record = this.#records.containers.get(containerId);
    if (record) this.#records.removeContainer(record);
  }

  onChange(listener: (podUid: string) => void): void {
    this.#listener = listener;
  }

  // async, so that a container that is not running is a rejection and not a throw
  async exec(containerId: string, request: ExecRequest): Promise<Exec> {
    const { record, mounted } = this.#running(containerId);
    await mounted;
    return execProcess(record, request);
  }

  async run(
    containerId: string,
    command: string[],
    timeoutMs: number | undefined,
    signal: AbortSignal,
  ): Promise<Ran | 'late'> {
    const { record, mounted } = this.#running(containerId);
    await mounted;
    return runToEnd((request) => execProcess(record, request), command, timeoutMs, signal);
  }

  async attach(containerId: string, request: Omit<ExecRequest, 'command'>): Promise<Exec> {
    const live = this.#running(containerId);
    return attachProcess(
      live.child,
      live.gone,
      () => this.#records.containers.get(containerId)?.exitCode ?? 0,
      request,
    );
  }

  async connect(sandboxId: string, port: number): Promise<Duplex> {
    if (!this.#records.sandboxes.has(sandboxId)) throw new Error('the pod is gone');
    const socket = connectSocket({ host: '127.0.0.1', port });
    await once(socket, 'connect');
    return socket;
  }

  /** Ends every container: without this executor nobody would read their output. */
  async close(): Promise<void> {
    await Promise.all([...this.#live.keys()].map((id) => this.stop(id, 0)));
  }

  #running(containerId: string): Live {
    const live = this.#live.get(containerId);
    if (!live) throw new Error('the container is not running');
    return live;
  }

  #neverStarted(spec: ContainerSpec, more: Pick<ContainerRecord, 'id' | 'env' | 'cwd'> & { message: string }): void {
    const now = Date.now();
    const record: ContainerRecord = {
      ...recordOf(spec),
      ...more,
      state: 'exited',
      startedAt: 0,
      finishedAt: now,
      exitCode: 128,
      reason: 'StartError',
    };
    this.#records.saveContainer(record);
  }

  #started(child: ChildProcess, record: ContainerRecord): void {
    const log = new LogFile(record.logPath);
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream]!.on('data', (chunk: Buffer) => this.#write(log, record, stream, chunk));
    child.stdin?.on('error', () => undefined); // EPIPE: the process has closed its input, which is its right
    this.#records.saveContainer(record);
    const gone = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        signalSession(child.pid!, 'SIGKILL');
        const late = setTimeout(() => (child.stdout?.destroy(), child.stderr?.destroy()), lateOutput);
        child.once('close', () => {
          clearTimeout(late);
          log.end();
          this.#ended(record.id, code, signal);
          resolve();
        });
      });
    });
    this.#live.set(record.id, { record, child, gone, mounted: closed(child.stdio[3]) });
    this.#listener(this.#records.podOf(record));
  }

  #write(log: LogFile, record: ContainerRecord, stream: LogStream, chunk: Buffer): void {
    try {
      log.write(stream, chunk);
    } catch (err) {
      this.#options.log.warn({ err, container: record.name }, 'container log could not be written');
    }
  }

  #ended(id: string, code: number | null, signal: NodeJS.Signals | null): void {
    this.#live.delete(id);
    const record = this.#records.containers.get(id);
    if (!record) return;
    const number = signal ? os.signals[signal] : undefined;
    const exitCode = number === undefined ? (code ?? 0) : 128 + number;
    Object.assign(record, {
      state: 'exited',
      finishedAt: Date.now(),
      exitCode,
      reason: exitCode === 0 ? 'Completed' : 'Error',
    });
    this.#records.saveContainer(record);
    this.#listener(this.#records.podOf(record));
  }

  /** What an earlier executor left running is ended: its output has no reader any more. */
  #afterRestart(record: ContainerRecord): void {
    if (record.state === 'exited') return;
    if (record.process) {
      if (isAlive(record.process)) signalOne(record.process.pid, 'SIGKILL');
      signalSession(record.process.pid, 'SIGKILL');
    }
    this.#records.saveContainer({
      ...record,
      state: 'exited',
      finishedAt: Date.now(),
      exitCode: 137,
      reason: 'Error',
      message: 'the executor that ran this process ended',
    });
  }
}

/** Resolves when nobody has the other end any more; at once when there is no such stream. */
const closed = (stream: ChildProcess['stdio'][3]): Promise<void> =>
  stream instanceof Readable
    ? new Promise((resolve) =>
        stream
          .once('close', resolve)
          .on('error', () => stream.destroy())
          .resume(),
      )
    : Promise.resolve();

const ifDefined = <K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> =>
  value === undefined ? {} : ({ [key]: value } as Record<K, V>);
