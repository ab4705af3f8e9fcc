import { isUnimplemented } from '../grpc.ts';
import type { CgroupDriver } from '../runtime.ts';
import type { CriClient } from './cri-client.ts';

/**
 * How a CRI runtime manages cgroups; undefined where it does not say. containerd 2 and CRI-O from 1.28 on are asked by the call that is for
 * it, containerd 1 tells its configuration.
 */
export async function cgroupDriverOf(cri: CriClient): Promise<CgroupDriver | undefined> {
  try {
    const { linux } = await cri.runtime<{ linux?: { cgroup_driver: string } | null }>('RuntimeConfig', {}, soon);
    return linux ? (linux.cgroup_driver === 'SYSTEMD' ? 'systemd' : 'cgroupfs') : undefined;
  } catch (error) {
    if (!isUnimplemented(error)) throw error;
  }
  const { info } = await cri.runtime<{ info: Record<string, string> }>('Status', { verbose: true }, soon);
  return driverIn(info.config);
}

const soon = { timeoutMs: 10_000 };

/** What containerd 1 says of its default runtime, in JSON: `{"containerd":{"defaultRuntimeName":"runc","runtimes":{"runc":{"options":{"SystemdCgroup":true}}}}}`. */
export function driverIn(config = ''): CgroupDriver | undefined {
  try {
    const containerd = field(JSON.parse(config), 'containerd');
    const name = field(containerd, 'defaultRuntimeName');
    const runtime = typeof name === 'string' ? field(field(containerd, 'runtimes'), name) : undefined;
    if (runtime === undefined) return undefined;
    return field(field(runtime, 'options'), 'SystemdCgroup') === true ? 'systemd' : 'cgroupfs';
  } catch {
    return undefined; // nothing, or no JSON: another runtime
  }
}

function field(of: unknown, name: string): unknown {
  if (typeof of !== 'object' || of === null) return undefined;
  return new Map<string, unknown>(Object.entries(of)).get(name);
}
