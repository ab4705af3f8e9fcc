/**
 * What flows in and out of a container of an agent: calls whose answer, or whose request, is a stream of records.
 *
 *   LAUNCH_NESTED_CONTAINER_SESSION ──▶ 200, records of ProcessIO until the command has ended
 *   ATTACH_CONTAINER_INPUT ◀── records: the container, then what it is to read
 */
import { PassThrough } from 'node:stream';
import { drained } from '../lib/drained.ts';
import type { CallAttachContainerInput, CallLaunchNestedContainer, ProcessIO } from './agent.ts';
import { agentCall, processIO } from './codec.ts';
import type { OperatorOptions } from './operator.ts';
import { RecordDecoder, encodeRecord } from './recordio.ts';
import { authorization, connect, connectionError, expectStatus, post } from './transport.ts';
import type { ContainerID } from './types.ts';

const recordio = 'application/recordio';
const protobuf = 'application/x-protobuf';

export interface ContainerSession {
  /** Ends with the command. Throws MesosError when the connection breaks. */
  output: AsyncIterable<ProcessIO>;
  /** The agent ends the command when it sees the connection closed. */
  close(): void;
}

/** A command in a container, which lives as long as the connection. Throws MesosError. */
export async function openContainerSession(
  options: OperatorOptions,
  session: CallLaunchNestedContainer,
): Promise<ContainerSession> {
  const client = connect(options);
  const close = () => void client.destroy();
  try {
    const answer = await post(client, {
      path: '/api/v1',
      headers: {
        ...{ 'content-type': protobuf, accept: recordio, 'message-accept': protobuf },
        ...authorization(options.credentials),
      },
      body: agentCall.encode(
        { type: 'LAUNCH_NESTED_CONTAINER_SESSION', launch_nested_container_session: session },
        protobuf,
      ),
      signal: options.signal,
      bodyTimeout: 0,
    });
    await expectStatus(answer, 'LAUNCH_NESTED_CONTAINER_SESSION', [200], options.credentials);
    return { output: records(answer.body, close), close };
  } catch (error) {
    close();
    throw connectionError(error, options.signal);
  }
}

async function* records(body: AsyncIterable<Buffer>, close: () => void): AsyncGenerator<ProcessIO> {
  const decoder = new RecordDecoder();
  try {
    for await (const chunk of body) for (const record of decoder.push(chunk)) yield processIO.decode(record, protobuf);
    decoder.end();
  } catch (error) {
    throw connectionError(error);
  } finally {
    close();
  }
}

export interface ContainerInput {
  /** Resolves when more can be taken. */
  write(data: Uint8Array): Promise<void>;
  /** Of its terminal. */
  resize(columns: number, rows: number): void;
  /** The command reads to the end of its input; on a terminal the one who types says so with a character. */
  end(): Promise<void>;
  /** Lets go of the input without ending it. */
  close(): void;
  /** When the agent takes no more. Rejects with MesosError where it took nothing. */
  readonly done: Promise<void>;
}

/** So that nothing between takes the connection for dead, ms. */
const heartbeatEvery = 30_000;

/** The input of a container that has one, which one alone may hold. */
export function attachContainerInput(options: OperatorOptions, containerId: ContainerID): ContainerInput {
  const client = connect({ ...options, headersTimeout: 0 });
  const body = new PassThrough();
  const send = (attach_container_input: CallAttachContainerInput): boolean =>
    body.destroyed ||
    body.writableEnded ||
    body.write(encodeRecord(agentCall.encode({ type: 'ATTACH_CONTAINER_INPUT', attach_container_input }, protobuf)));
  const write = async (process_io: ProcessIO) => {
    if (!send({ type: 'PROCESS_IO', process_io })) await drained(body);
  };
  const typed = (data: Uint8Array) => write({ type: 'DATA', data: { type: 'STDIN', data } });
  body.on('error', () => undefined); // told by `done`
  send({ type: 'CONTAINER_ID', container_id: containerId });
  const interval = { nanoseconds: BigInt(heartbeatEvery) * 1_000_000n };
  const beating = setInterval(
    () => void write({ type: 'CONTROL', control: { type: 'HEARTBEAT', heartbeat: { interval } } }),
    heartbeatEvery,
  );
  const sent = async () => {
    try {
      const answer = await client.request({
        method: 'POST',
        path: '/api/v1',
        headers: {
          ...{ 'content-type': recordio, 'message-content-type': protobuf, accept: protobuf },
          ...authorization(options.credentials),
        },
        body,
        ...(options.signal ? { signal: options.signal } : {}),
      });
      await expectStatus(
        { status: answer.statusCode, headers: answer.headers, body: answer.body },
        'ATTACH_CONTAINER_INPUT',
        [200],
        options.credentials,
      );
    } catch (error) {
      throw connectionError(error, options.signal);
    } finally {
      clearInterval(beating);
      body.destroy();
      await client.destroy();
    }
  };
  const done = sent();
  done.catch(() => undefined); // whoever wants to know asks
  return {
    write: typed,
    resize: (columns, rows) =>
      void write({ type: 'CONTROL', control: { type: 'TTY_INFO', tty_info: { window_size: { rows, columns } } } }),
    end: async () => {
      await typed(new Uint8Array());
      body.end();
    },
    close: () => body.end(),
    done,
  };
}
