import type Docker from 'dockerode';
import type { ContainerUsage } from '../runtime.ts';

/** The counters of cgroup v1 and of v2, whichever the machine has. */
interface MemoryCounters {
  total_inactive_file?: number;
  inactive_file?: number;
  total_rss?: number;
  anon?: number;
}

/** What Docker says of a running container; undefined when it had ended meanwhile. */
export function usageOf({
  read,
  cpu_stats: cpu,
  memory_stats: memory,
}: Docker.ContainerStats): Pick<ContainerUsage, 'at' | 'cpuNanos' | 'memory' | 'workingSet' | 'rss'> | undefined {
  const at = Date.parse(read);
  if (!(at > 0) || memory.usage === undefined) return undefined;
  const counters: MemoryCounters = memory.stats ?? {};
  return {
    at,
    cpuNanos: cpu.cpu_usage.total_usage,
    memory: memory.usage,
    workingSet: Math.max(0, memory.usage - (counters.total_inactive_file ?? counters.inactive_file ?? 0)),
    rss: counters.total_rss ?? counters.anon ?? 0,
  };
}

/** How often it is asked, ms: Docker walks the files of every container for it. */
const askEvery = 60_000;

/** What containers wrote beside their volumes, bytes by id; as of about a minute ago. */
export class WrittenBytes {
  readonly #docker: Docker;
  readonly #label: string[];
  #known: ReadonlyMap<string, number> = new Map();
  #askedAt = -Infinity;

  constructor(docker: Docker, label: string[]) {
    this.#docker = docker;
    this.#label = label;
  }

  latest(): ReadonlyMap<string, number> {
    if (performance.now() - this.#askedAt > askEvery) void this.#ask();
    return this.#known;
  }

  async #ask(): Promise<void> {
    this.#askedAt = performance.now();
    const options = { size: true, filters: { label: this.#label } };
    const listed: (Docker.ContainerInfo & { SizeRw?: number })[] = await this.#docker
      .listContainers(options)
      .catch(() => []); // the next look tells of it
    this.#known = new Map(listed.map(({ Id, SizeRw = 0 }) => [Id, SizeRw]));
  }
}
