/**
 * The containers of an agent that its API launches: nested below those of executors and below each other, and standalone.
 * As with the posix launcher and isolators of Mesos they are processes in a session of their own, with a sandbox below that of
 * their parent: `…/runs/<executor's container>/containers/<id>`.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { delay } from '../lib/delay.ts';
import type { ResponseGetContainersContainer } from '../mesos/agent.ts';
import type { ContainerInfo } from '../mesos/containers.ts';
import type { CommandInfo } from '../mesos/tasks.ts';
import type { ContainerID, Resource, ResourceStatistics } from '../mesos/types.ts';
import { runCommand, runPiped, type Child } from './child.ts';
import { HttpAnswer } from './http.ts';
import { nowSeconds } from './status.ts';
import { Switchboard } from './switchboard.ts';

/** Where containers can be nested. */
export interface Parent {
  directory: string;
  /** What a session in it inherits. */
  environment: Record<string, string>;
  workingDirectory: string;
}

export interface ContainersOptions {
  workDir: string;
  /** The container of an executor that runs. */
  executor(containerId: string): Parent | undefined;
}

export interface Launch {
  id: ContainerID;
  command: CommandInfo;
  container?: ContainerInfo | undefined;
  resources?: Resource[] | undefined;
  isSession: boolean;
}

interface Contained extends Parent {
  id: ContainerID;
  resources: Resource[];
  child: Child;
  switchboard: Switchboard | undefined;
  /** With the raw wait status. */
  ended: Promise<number>;
}

/** `<parent>.<child>`, as Mesos prints it. */
export const nameOf = ({ value, parent }: ContainerID): string => (parent ? `${nameOf(parent)}.${value}` : value);

/** That of its executor, or itself. */
export const rootOf = ({ value, parent }: ContainerID): string => (parent ? rootOf(parent) : value);

/** How long the output of what a container left behind is waited for, ms. */
const lateOutput = 1000;

export class Containers {
  readonly #options: ContainersOptions;
  readonly #running = new Map<string, Contained>();
  /** Their statuses are kept until they are removed, or their executor's container goes. */
  readonly #ended = new Map<string, number>();

  constructor(options: ContainersOptions) {
    this.#options = options;
  }

  /** Throws HttpAnswer. */
  launch({ id, command, container, resources = [], isSession }: Launch): 'launched' | 'already launched' {
    const name = nameOf(id);
    if (this.#running.has(name)) return 'already launched';
    if (container && container.type !== 'MESOS')
      throw new HttpAnswer(400, 'The provided ContainerInfo is not supported');
    const parent = this.#parentOf(id);
    if (container?.mesos?.image)
      throw new HttpAnswer(400, `Unsupported container image type: ${container.mesos.image.type}`);
    const directory = join(parent?.directory ?? this.#options.workDir, 'containers', id.value);
    mkdirSync(directory, { recursive: true });
    const given = (command.environment?.variables ?? []).map(({ name: key, value = '' }) => [key, value]);
    const inherited = isSession ? parent?.environment : { MESOS_SANDBOX: directory };
    const environment: Record<string, string> = { ...inherited, ...Object.fromEntries(given) };
    const workingDirectory = (isSession ? parent?.workingDirectory : undefined) ?? directory;
    const tty = container?.tty_info;
    const hasTty = tty !== undefined;
    const piped = isSession || hasTty ? runPiped(command, workingDirectory, environment, hasTty) : undefined;
    const child = piped ?? runCommand(command, directory, environment);
    const switchboard = piped && new Switchboard(piped, directory, hasTty);
    if (tty) void switchboard?.write({ type: 'CONTROL', control: { type: 'TTY_INFO', tty_info: tty } });
    const ended = this.#untilEnded(name, child, switchboard);
    this.#ended.delete(name);
    this.#running.set(name, {
      ...{ id, directory, environment, workingDirectory, resources, child, switchboard, ended },
    });
    return 'launched';
  }

  /** Whether this one, which has no parent, runs. */
  has(root: string): boolean {
    return this.#running.has(root) || this.#options.executor(root) !== undefined;
  }

  #parentOf({ parent }: ContainerID): Parent | undefined {
    if (!parent) return undefined;
    const found = this.#running.get(nameOf(parent)) ?? this.#executorAt(parent);
    if (!found) throw new HttpAnswer(400, `Parent container ${nameOf(parent)} does not exist`);
    return found;
  }

  #executorAt({ value, parent }: ContainerID): Parent | undefined {
    return parent ? undefined : this.#options.executor(value);
  }

  async #untilEnded(name: string, child: Child, switchboard: Switchboard | undefined): Promise<number> {
    const status = await child.ended;
    // Whatever it left behind goes with it.
    child.killTree();
    await this.#destroyBelow(name);
    const late = new AbortController();
    void delay(lateOutput, late.signal).then(
      () => switchboard?.cut(),
      () => undefined,
    );
    await switchboard?.done;
    late.abort();
    this.#running.delete(name);
    this.#ended.set(name, status);
    return status;
  }

  /** Resolves with its raw wait status. Throws HttpAnswer. */
  wait(id: ContainerID): Promise<number> {
    const name = nameOf(id);
    const status = this.#ended.get(name);
    if (status !== undefined) return Promise.resolve(status);
    const running = this.#running.get(name);
    if (!running) throw new HttpAnswer(404, `Container ${name} cannot be found`);
    return running.ended;
  }

  /** Only the process that was launched gets the signal. Throws HttpAnswer. */
  kill(id: ContainerID, signal: number): void {
    const running = this.#running.get(nameOf(id));
    if (!running) throw new HttpAnswer(404, `Container '${nameOf(id)}' cannot be found (or is already killed)`);
    running.child.signalOne(signal);
  }

  /** Throws HttpAnswer. */
  remove(id: ContainerID): void {
    const name = nameOf(id);
    if (this.#running.has(name)) throw new HttpAnswer(500, 'Nested container has not terminated yet');
    const root = id.parent ? (this.#running.get(rootOf(id)) ?? this.#options.executor(rootOf(id))) : undefined;
    const directory = id.parent ? root?.directory : this.#options.workDir;
    if (directory === undefined) throw new HttpAnswer(500, 'Unknown root container');
    this.#ended.delete(name);
    rmSync(sandboxOf(directory, id), { recursive: true, force: true });
  }

  /** Throws HttpAnswer. */
  switchboard(id: ContainerID): Switchboard {
    if (!this.#options.executor(rootOf(id))) throw new HttpAnswer(404, `Container ${nameOf(id)} cannot be found`);
    const running = this.#running.get(nameOf(id));
    if (!running && !this.#executorAt(id)) throw new HttpAnswer(500, `Unknown container ${nameOf(id)}`);
    if (!running?.switchboard) throw new HttpAnswer(500, 'I/O switchboard server was disabled for this container');
    return running.switchboard;
  }

  /** Kills all its processes. */
  destroy(id: ContainerID): void {
    this.#running.get(nameOf(id))?.child.killTree();
  }

  async #destroyBelow(name: string): Promise<void> {
    const below = [...this.#running].filter(([other]) => other.startsWith(`${name}.`));
    await Promise.all(
      below.map(([, { child, ended }]) => {
        child.killTree();
        return ended;
      }),
    );
  }

  /** An executor's container is gone, and all that was nested in it. */
  async forget(containerId: string): Promise<void> {
    await this.#destroyBelow(containerId);
    for (const name of this.#ended.keys()) if (name.startsWith(`${containerId}.`)) this.#ended.delete(name);
  }

  list({ nested, standalone }: { nested: boolean; standalone: boolean }): ResponseGetContainersContainer[] {
    return [...this.#running.values()]
      .filter(({ id }) => (id.parent ? nested : standalone))
      .map(({ id, child, resources }) => shown(id, child.pid, resources));
  }

  /** The agent ends. */
  stop(): void {
    for (const { child } of this.#running.values()) child.killTree();
  }
}

function sandboxOf(root: string, { value, parent }: ContainerID): string {
  const above = parent?.parent ? sandboxOf(root, parent) : root;
  return join(above, 'containers', value);
}

/** A container in the words of GET_CONTAINERS: the id of a nested one is told in full in its status alone. */
export function shown(id: ContainerID, pid: number | undefined, resources: Resource[]): ResponseGetContainersContainer {
  return {
    container_id: { value: id.value },
    container_status: { container_id: id, ...(pid === undefined ? {} : { executor_pid: pid }) },
    resource_statistics: limitsOf(resources),
  };
}

/** The posix isolators measure nothing of a nested container. */
function limitsOf(resources: readonly Resource[]): ResourceStatistics {
  const sum = (name: string) =>
    resources.reduce((all, one) => all + (one.name === name ? (one.scalar?.value ?? 0) : 0), 0);
  const [cpus, mem] = [sum('cpus'), BigInt(Math.round(sum('mem') * 1024 * 1024))];
  return {
    timestamp: nowSeconds(),
    ...(cpus > 0 ? { cpus_soft_limit: cpus } : {}),
    ...(mem > 0n ? { mem_limit_bytes: mem, mem_soft_limit_bytes: mem } : {}),
  };
}
