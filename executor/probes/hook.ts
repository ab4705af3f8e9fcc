import type { LifecycleHandler } from '../../api/kinds/pod.ts';
import { delay } from '../../lib/delay.ts';
import type { Runtime } from '../runtime.ts';
import type { HandlerPlace } from './handler-place.ts';
import { httpGet } from './http-get.ts';

const agent = 'kube-lifecycle/1.36';

/** Runs a lifecycle hook to its end. Rejects in words for the user when it failed, or with the signal's reason. */
export async function runHook(
  hook: LifecycleHandler,
  place: HandlerPlace,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  if (hook.exec) {
    const command = hook.exec.command ?? [];
    const done = await runtime.run(place.containerId, command, undefined, signal);
    if (done !== 'late' && done.exitCode !== 0)
      throw new Error(`command '${command.join(' ')}' exited with ${done.exitCode}: ${done.output.slice(0, 1024)}`);
  } else if (hook.httpGet) await httpGet(hook.httpGet, place, agent, signal);
  else if (hook.sleep) await delay(hook.sleep.seconds * 1000, signal);
  else throw new Error('a hook can be exec, httpGet or sleep; tcpSocket is not supported');
}
