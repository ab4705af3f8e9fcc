/** Single questions to the operator API of a master or an agent: one call, one answer. */
import { agentCall, agentResponse, masterCall, masterResponse, type ContentType, type MessageType } from './codec.ts';
import { authorization, connectionError, expectStatus, postToLeader, type Target } from './transport.ts';
import type * as agent from './agent.ts';
import type * as master from './master.ts';

export interface OperatorOptions extends Target {
  contentType?: ContentType | undefined;
  signal?: AbortSignal | undefined;
}

type Answered<C extends { type: string }, R extends { type: string }> = [Extract<R, { type: C['type'] }>] extends [
  never,
]
  ? undefined
  : Extract<R, { type: C['type'] }>;

/** Asks the leading master (307 is followed). Calls that only change something answer undefined. Throws MesosError. */
export function askMaster<const C extends master.Call>(
  options: OperatorOptions,
  call: C,
): Promise<Answered<C, master.Response>> {
  return ask(options, call, masterCall, masterResponse) as Promise<Answered<C, master.Response>>;
}

/** Asks an agent. */
export function askAgent<const C extends agent.Call>(
  options: OperatorOptions,
  call: C,
): Promise<Answered<C, agent.Response>> {
  return ask(options, call, agentCall, agentResponse) as Promise<Answered<C, agent.Response>>;
}

async function ask<C extends { type: string }, R>(
  options: OperatorOptions,
  call: C,
  calls: MessageType<C>,
  responses: MessageType<R>,
): Promise<R | undefined> {
  const { contentType = 'application/x-protobuf', signal } = options;
  const { client, answer } = await postToLeader(options, {
    path: '/api/v1',
    headers: { 'content-type': contentType, accept: contentType, ...authorization(options.credentials) },
    body: calls.encode(call, contentType),
    signal,
  });
  try {
    await expectStatus(answer, call.type, [200, 202], options.credentials);
    const bytes = await answer.body.bytes();
    return bytes.length === 0 ? undefined : responses.decode(bytes, contentType);
  } catch (error) {
    throw connectionError(error, signal);
  } finally {
    await client.destroy();
  }
}
