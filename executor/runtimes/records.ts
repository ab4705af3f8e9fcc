import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { replaceFile } from '../../lib/replace-file.ts';
import type { ContainerSpec, RuntimeContainer, RuntimePod, SandboxSpec } from '../runtime.ts';
import type { ProcessId } from './process-table.ts';

export interface SandboxRecord extends Omit<RuntimePod, 'containers'> {
  logDirectory: string;
}

/** A container whose command is a process of this machine. */
export interface ContainerRecord extends RuntimeContainer {
  process?: ProcessId;
  /** What exec repeats: the environment, the working directory, and whether there are namespaces to enter. */
  env: Record<string, string>;
  cwd: string;
  ownMounts: boolean;
}

/**
 * What a runtime without a memory of its own knows of its pods, in memory and on disk, so that another executor can read it:
 *
 *   <root>/<sandbox id>/sandbox.json
 *   <root>/<sandbox id>/<container id>.json
 */
export class Records<C extends ContainerRecord> {
  readonly sandboxes = new Map<string, SandboxRecord>();
  readonly containers = new Map<string, C>();
  readonly #root: string;

  /** A record that cannot be read is one that was never finished: its directory goes. */
  constructor(root: string) {
    this.#root = root;
    mkdirSync(root, { recursive: true, mode: 0o700 });
    const directories = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const { name: id } of directories) {
      const sandbox = readRecord<SandboxRecord>(join(root, id, 'sandbox.json'));
      if (!sandbox) {
        rmSync(join(root, id), { recursive: true, force: true });
        continue;
      }
      this.sandboxes.set(id, sandbox);
      for (const file of readdirSync(join(root, id))) {
        if (!file.endsWith('.json') || file === 'sandbox.json') continue;
        const record = readRecord<C>(join(root, id, file));
        if (record) this.containers.set(record.id, record);
      }
    }
  }

  directory(sandboxId: string): string {
    return join(this.#root, sandboxId);
  }

  pods(): RuntimePod[] {
    return [...this.sandboxes.values()].map(({ uid, namespace, name, sandbox }) => ({
      uid,
      namespace,
      name,
      sandbox: { ...sandbox },
      containers: this.of(sandbox.id).map((c) => ({ ...c })),
    }));
  }

  of(sandboxId: string): C[] {
    return [...this.containers.values()].filter((c) => c.sandboxId === sandboxId);
  }

  /** '' when it is gone. */
  podOf({ sandboxId }: C): string {
    return this.sandboxes.get(sandboxId)?.uid ?? '';
  }

  addSandbox(spec: SandboxSpec, ip: string): SandboxRecord {
    const { uid = '', namespace = '', name = '' } = spec.pod.metadata;
    const sandbox = { id: randomUUID(), ip, ready: true, createdAt: Date.now(), attempt: spec.attempt };
    const record = { uid, namespace, name, logDirectory: spec.logDirectory, sandbox };
    this.saveSandbox(record);
    this.sandboxes.set(sandbox.id, record);
    return record;
  }

  saveSandbox(sandbox: SandboxRecord): void {
    mkdirSync(this.directory(sandbox.sandbox.id), { recursive: true, mode: 0o700 });
    writeRecord(join(this.directory(sandbox.sandbox.id), 'sandbox.json'), sandbox);
  }

  /** On disk it is not where the sandbox has been removed meanwhile. */
  saveContainer(container: C): void {
    this.containers.set(container.id, container);
    if (!existsSync(this.directory(container.sandboxId))) return;
    writeRecord(join(this.directory(container.sandboxId), `${container.id}.json`), container);
  }

  /** Its containers are stopped, and it is not ready any more. Absent is fine. */
  async stopSandbox(id: string, stop: (containerId: string) => Promise<void>): Promise<void> {
    const record = this.sandboxes.get(id);
    if (!record) return;
    await Promise.all(this.of(id).map((container) => stop(container.id)));
    record.sandbox.ready = false;
    this.saveSandbox(record);
  }

  /** With its containers. Absent is fine. */
  async removeSandbox(id: string, remove: (containerId: string) => Promise<void>): Promise<void> {
    await Promise.all(this.of(id).map((container) => remove(container.id)));
    this.sandboxes.delete(id);
    rmSync(this.directory(id), { recursive: true, force: true });
  }

  removeContainer(container: C): void {
    this.containers.delete(container.id);
    rmSync(join(this.directory(container.sandboxId), `${container.id}.json`), { force: true });
    rmSync(join(this.directory(container.sandboxId), container.id), { recursive: true, force: true });
  }
}

/** A container that is about to run. */
export function recordOf(spec: ContainerSpec): Omit<ContainerRecord, 'id' | 'env' | 'cwd'> {
  return {
    sandboxId: spec.sandboxId,
    name: spec.container.name,
    attempt: spec.attempt,
    state: 'running',
    specHash: spec.specHash,
    image: spec.container.image ?? '',
    imageId: spec.imageId,
    startedAt: Date.now(),
    finishedAt: 0,
    logPath: join(spec.sandbox.logDirectory, spec.logPath),
    ownMounts: spec.mounts.length > 0, // without the power to mount, containerCommand has refused it
  };
}

const writeRecord = (path: string, record: unknown): void => replaceFile(path, JSON.stringify(record));

function readRecord<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
