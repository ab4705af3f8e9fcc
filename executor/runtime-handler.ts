import type { Pod } from '../api/kinds/pod.ts';
import type { Kubelet } from './kubelet.ts';
import { StartError } from './runtime.ts';

/** What the runtime calls the way a pod wants to be run; empty: the usual one. Throws StartError when there is no such class. */
export async function runtimeHandler({ apiserver }: Kubelet, pod: Pod): Promise<string> {
  const { runtimeClassName } = pod.spec;
  if (!runtimeClassName) return '';
  const handler = await apiserver.runtimeHandler(runtimeClassName);
  if (handler !== undefined) return handler;
  throw new StartError(
    'FailedCreatePodSandBox',
    `failed to get runtime class: RuntimeClass "${runtimeClassName}" not found`,
  );
}
