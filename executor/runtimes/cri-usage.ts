import type { ContainerUsage, RuntimeContainer } from '../runtime.ts';
import { labels } from './labels.ts';

type Amount = { value: number } | null;

/** One container of ListContainerStats. */
export interface CriStats {
  attributes: { id: string; metadata: { name: string }; labels: Record<string, string> };
  cpu: { timestamp: number; usage_core_nano_seconds: Amount } | null;
  memory: { usage_bytes: Amount; working_set_bytes: Amount; rss_bytes: Amount } | null;
  writable_layer: { used_bytes: Amount } | null;
}

/** What CRI says of a container that it could measure; undefined when it had ended meanwhile. */
export function usageOf(stats: CriStats, container: RuntimeContainer | undefined): ContainerUsage | undefined {
  const { attributes, cpu, memory, writable_layer: disk } = stats;
  if (!container || container.state !== 'running' || !cpu || !memory) return undefined;
  return {
    id: attributes.id,
    podUid: attributes.labels[labels.podUid] ?? '',
    name: attributes.metadata.name,
    startedAt: container.startedAt,
    at: cpu.timestamp / 1e6,
    cpuNanos: cpu.usage_core_nano_seconds?.value ?? 0,
    memory: memory.usage_bytes?.value ?? memory.working_set_bytes?.value ?? 0,
    workingSet: memory.working_set_bytes?.value ?? 0,
    rss: memory.rss_bytes?.value ?? 0,
    ...(disk?.used_bytes ? { disk: disk.used_bytes.value } : {}),
  };
}
