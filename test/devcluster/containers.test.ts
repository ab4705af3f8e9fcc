import { afterEach, describe, expect, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type ContainerInput, attachContainerInput, openContainerSession } from '../../mesos/container-io.ts';
import { askAgent } from '../../mesos/operator.ts';
import type { ContainerID } from '../../mesos/types.ts';
import { startMesosAgent } from '../executor/mesos-agent.ts';
import { endAll } from './builders.ts';

afterEach(endAll);

async function place() {
  const agent = await startMesosAgent();
  const at = { url: agent.url };
  const idOf = (value: string, parent: ContainerID = { value: agent.containerId }) => ({ value, parent });
  const launch = (container_id: ContainerID, value: string) =>
    askAgent(at, { type: 'LAUNCH_CONTAINER', launch_container: { container_id, command: { value } } });
  const ended = async (container_id: ContainerID) =>
    (await askAgent(at, { type: 'WAIT_CONTAINER', wait_container: { container_id } })).wait_container.exit_status;
  return { ...{ agent, at, idOf, launch, ended } };
}

describe('containers of an agent', () => {
  test('end with the one they are nested in, and are removed with their sandbox when they have ended', async () => {
    const { agent, at, idOf, launch, ended } = await place();
    const [outer, inner] = [idOf('outer'), idOf('inner', idOf('outer'))];
    await launch(outer, 'sleep 1000');
    await launch(inner, 'sleep 1000');
    const sandbox = join(agent.sandbox, 'containers/outer');
    expect(existsSync(join(sandbox, 'containers/inner/stdout'))).toBe(true);
    const remove = () => askAgent(at, { type: 'REMOVE_CONTAINER', remove_container: { container_id: outer } });
    await expect(remove()).rejects.toThrow('500: Nested container has not terminated yet');
    await askAgent(at, { type: 'KILL_CONTAINER', kill_container: { container_id: outer } });
    expect(await ended(outer)).toBe(9);
    expect(await ended(inner)).toBe(9);
    await remove();
    expect(existsSync(sandbox)).toBe(false);
    await expect(ended(outer)).rejects.toThrow(`404: Container ${agent.containerId}.outer cannot be found`);
  });

  test('have one input at a time, which ends when it is ended', async () => {
    const { at, idOf, ended } = await place();
    const container_id = idOf('s');
    const session = await openContainerSession(at, { container_id, command: { value: 'cat; exit 5' } });
    const first = attachContainerInput(at, container_id);
    await first.write(Buffer.from('hello'));
    const read = session.output[Symbol.asyncIterator]();
    expect(Buffer.from((await read.next()).value?.data?.data ?? '').toString()).toBe('hello');
    const second: ContainerInput = attachContainerInput(at, container_id);
    await expect(second.done).rejects.toThrow('409: Multiple input connections are not allowed');
    await first.end();
    expect(await read.next()).toMatchObject({ done: true });
    await first.done;
    expect(await ended(container_id)).toBe(5 * 256);
  });

  test('go on when they end their output before themselves: only who leaves a session before its end, ends it', async () => {
    const { at, idOf, ended } = await place();
    const command = { value: 'exec >&- 2>&-; sleep 0.3; exit 6' };
    const { output } = await openContainerSession(at, { container_id: idOf('quiet'), command });
    for await (const record of output) expect(record).toBeUndefined();
    expect(await ended(idOf('quiet'))).toBe(6 * 256);
    const left = await openContainerSession(at, { container_id: idOf('left'), command: { value: 'sleep 1000' } });
    left.close();
    expect(await ended(idOf('left'))).toBe(9);
  });

  test('are refused what this agent has not: images, and limits below the first level', async () => {
    const { at, idOf, launch } = await place();
    const image = { type: 'DOCKER' as const, docker: { name: 'busybox' } };
    const withImage = { container_id: idOf('i'), container: { type: 'MESOS' as const, mesos: { image } } };
    await expect(askAgent(at, { type: 'LAUNCH_CONTAINER', launch_container: withImage })).rejects.toThrow(
      '400: Unsupported container image type: DOCKER',
    );
    await launch(idOf('a'), 'sleep 1000');
    const deep = { container_id: idOf('b', idOf('a')), limits: { cpus: { value: 1 } } };
    await expect(askAgent(at, { type: 'LAUNCH_CONTAINER', launch_container: deep })).rejects.toThrow(
      'containers nested at the second level or greater cannot specify resource limits',
    );
  });
});
