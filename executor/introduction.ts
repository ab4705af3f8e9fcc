import type { EventSubscribed } from '../mesos/executor.ts';

/** Where the apiserver is, how it is known, and what is shown to it at first: ExecutorInfo.data as JSON. */
export interface Introduction {
  server: string;
  ca: string;
  token: string;
  /** The node that this agent is; undefined where a scheduler of before it was told launched us. */
  node?: string;
}

/** Throws an Error that says what is missing. */
export function introductionIn({ executor_info: { data } }: Pick<EventSubscribed, 'executor_info'>): Introduction {
  let read: Partial<Introduction>;
  try {
    read = JSON.parse(Buffer.from(data ?? []).toString('utf8')) as Partial<Introduction>;
  } catch (error) {
    throw new Error('ExecutorInfo.data is not the JSON {"server","ca","token"} that says where the apiserver is', {
      cause: error,
    });
  }
  const { server, ca, token, node } = read;
  if (!server || !ca || !token) throw new Error('ExecutorInfo.data must name server, ca and token of the apiserver');
  return { server, ca, token, ...(node ? { node } : {}) };
}
