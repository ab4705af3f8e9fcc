/** May a task join an executor that runs already? Only when what makes the executor is the same. */
import { isDeepStrictEqual } from 'node:util';
import type { CommandInfo, ExecutorInfo } from '../mesos/tasks.ts';
import { contains } from './resources.ts';
import { debugText } from './debug-text.ts';

/** Labels and shutdown_grace_period are not compared. */
export function isCompatible(a: ExecutorInfo, b: ExecutorInfo): boolean {
  const same = (key: keyof ExecutorInfo) => isDeepStrictEqual(a[key] ?? '', b[key] ?? '');
  const [left, right] = [a.resources ?? [], b.resources ?? []];
  return (
    a.executor_id.value === b.executor_id.value &&
    a.type === b.type &&
    Buffer.compare(a.data ?? Buffer.alloc(0), b.data ?? Buffer.alloc(0)) === 0 &&
    contains(left, right) &&
    contains(right, left) &&
    isDeepStrictEqual(commandOf(a.command), commandOf(b.command)) &&
    (['framework_id', 'name', 'source', 'container', 'discovery'] as const).every(same)
  );
}

const commandOf = (command: CommandInfo | undefined) => ({
  value: command?.value ?? '',
  shell: command?.shell ?? true,
  user: command?.user ?? '',
  arguments: command?.arguments ?? [],
  variables: command?.environment?.variables ?? [],
  uris: (command?.uris ?? []).map(({ value, executable = false, extract = true, output_file = '' }) => ({
    value,
    executable,
    extract,
    output_file,
  })),
});

const line = '-'.repeat(60);

export const incompatible = (running: ExecutorInfo, wanted: ExecutorInfo): string =>
  `ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n${line}\n` +
  `Existing ExecutorInfo:\n${debugText('mesos.v1.ExecutorInfo', running)}\n${line}\n` +
  `ExecutorInfo:\n${debugText('mesos.v1.ExecutorInfo', wanted)}\n${line}\n`;
