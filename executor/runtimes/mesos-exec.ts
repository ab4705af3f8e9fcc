import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { drained } from '../../lib/drained.ts';
import type { ContainerInput, ContainerSession } from '../../mesos/container-io.ts';
import type { Exec, ExecRequest } from '../runtime.ts';
import { exitOf } from './mesos-exit.ts';
import { type MesosAgent, isOver } from './mesos-agent.ts';
import { enter } from './process-exec.ts';
import type { ContainerRecord } from './records.ts';

/** End of transmission: what ends the input of a program on a terminal. */
const endOfTransmission = Buffer.from([4]);

/** A command in a container: a session of the agent, which ends with its connection. */
export async function execInContainer(
  agent: MesosAgent,
  record: ContainerRecord & { isImage: boolean },
  request: ExecRequest,
  signal: AbortSignal,
): Promise<Exec> {
  const { tty, stdin } = request;
  const id = `exec-${randomUUID()}`;
  const argv = record.isImage ? request.command : within(record, request);
  const session = await agent.session(id, record.id, {
    command: {
      ...{ shell: false, value: argv[0] ?? '', arguments: argv },
      ...(tty && !record.env.TERM
        ? { environment: { variables: [{ name: 'TERM', type: 'VALUE', value: 'xterm' }] } }
        : {}),
    },
    ...(tty ? { container: { type: 'MESOS', tty_info: { window_size: { rows: 24, columns: 80 } } } } : {}),
  });
  // In an image there may be no shell that would close the input of a command that was given none.
  const input = stdin || tty || record.isImage ? agent.input(id, record.id) : undefined;
  if (input && stdin) void feed(stdin, input, tty);
  else if (input && !tty) void input.end();
  let isKilled = false;
  // An agent with ACLs gives executors no input: Mesos has that of all calls of sessions in no implicit permission.
  let refused: Error | undefined;
  if (stdin)
    input?.done.catch((error: Error) => {
      // The command has ended before its input came: how, is told as of any other.
      if (isOver(error)) return;
      refused = error;
      session.close();
    });
  const done = async () => {
    try {
      await handOn(session, request).catch((error: Error) => {
        if (!isKilled) throw refused ?? error;
      });
      if (refused && !isKilled) throw refused;
      const end = await agent.ended(id, record.id, signal);
      return exitOf(end).exitCode;
    } finally {
      input?.close();
      await agent.remove(id, record.id).catch(() => undefined); // it went with its container
    }
  };
  return {
    done: done(),
    resize: (columns, rows) => input?.resize(columns, rows),
    kill: () => {
      isKilled = true;
      session.close();
    },
  };
}

/** Beside a command of the machine: with its mounts, in its directory, and without an input unless one was given. */
function within(record: ContainerRecord, { command, stdin, tty }: ExecRequest): string[] {
  const closed = stdin || tty ? '' : ' </dev/null';
  const entered = enter(record);
  const start = entered.length > 0 ? [...entered, ...command] : command;
  const directory = entered.length > 0 ? '/' : record.cwd;
  return ['/bin/sh', '-c', `cd -- "$0" && exec "$@"${closed}`, directory, ...start];
}

/** What is typed; also when that never ends. */
export async function feed(from: Readable, to: ContainerInput, tty: boolean): Promise<void> {
  try {
    for await (const chunk of from) await to.write(Buffer.from(chunk));
  } catch {
    // The client is gone, and with it what it had to say.
  }
  if (tty) await to.write(endOfTransmission);
  else await to.end();
}

/** As fast as the other end takes it. */
async function handOn({ output }: ContainerSession, { stdout, stderr }: ExecRequest): Promise<void> {
  for await (const { data } of output) {
    const to = data?.type === 'STDERR' ? stderr : stdout;
    if (to && data?.data && !to.destroyed && !to.writableEnded && !to.write(data.data)) await drained(to);
  }
}
