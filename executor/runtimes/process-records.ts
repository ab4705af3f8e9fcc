import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RuntimeContainer, RuntimePod } from '../runtime.ts';
import type { ProcessId } from './process-table.ts';

export interface SandboxRecord extends Omit<RuntimePod, 'containers'> {
  logDirectory: string;
}

export interface ContainerRecord extends RuntimeContainer {
  sandboxId: string;
  process?: ProcessId;
  /** What exec repeats: the environment, the working directory, and whether there are namespaces to enter. */
  env: Record<string, string>;
  cwd: string;
  ownMounts: boolean;
}

/**
 * What the process runtime knows, on disk, so that another executor can read it:
 *
 *   <root>/<sandbox id>/sandbox.json
 *   <root>/<sandbox id>/<container id>.json
 */
export class ProcessRecords {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    mkdirSync(root, { recursive: true, mode: 0o700 });
  }

  directory(sandboxId: string): string {
    return join(this.#root, sandboxId);
  }

  /** A record that cannot be read is one that was never finished: its directory goes. */
  load(): { sandboxes: SandboxRecord[]; containers: ContainerRecord[] } {
    const sandboxes: SandboxRecord[] = [];
    const containers: ContainerRecord[] = [];
    const directories = readdirSync(this.#root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const { name: id } of directories) {
      const sandbox = readRecord<SandboxRecord>(join(this.#root, id, 'sandbox.json'));
      if (!sandbox) {
        rmSync(join(this.#root, id), { recursive: true, force: true });
        continue;
      }
      sandboxes.push(sandbox);
      for (const file of readdirSync(join(this.#root, id))) {
        if (!file.endsWith('.json') || file === 'sandbox.json') continue;
        const record = readRecord<ContainerRecord>(join(this.#root, id, file));
        if (record) containers.push(record);
      }
    }
    return { sandboxes, containers };
  }

  saveSandbox(sandbox: SandboxRecord): void {
    mkdirSync(this.directory(sandbox.sandbox.id), { recursive: true, mode: 0o700 });
    writeRecord(join(this.directory(sandbox.sandbox.id), 'sandbox.json'), sandbox);
  }

  /** Does nothing where the sandbox has been removed meanwhile. */
  saveContainer(container: ContainerRecord): void {
    if (!existsSync(this.directory(container.sandboxId))) return;
    writeRecord(join(this.directory(container.sandboxId), `${container.id}.json`), container);
  }

  removeSandbox(id: string): void {
    rmSync(this.directory(id), { recursive: true, force: true });
  }

  removeContainer(container: ContainerRecord): void {
    rmSync(join(this.directory(container.sandboxId), `${container.id}.json`), { force: true });
    rmSync(join(this.directory(container.sandboxId), container.id), { recursive: true, force: true });
  }
}

function writeRecord(path: string, record: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readRecord<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
