import type { Client } from '../client/client.ts';
import { type Access as Delegated, delegatedAccess as delegated } from '../client/delegated-access.ts';

export type { Caller } from '../client/delegated-access.ts';

/** What is asked of this node: a verb on a subresource of `nodes`. */
export interface Question {
  verb: string;
  subresource: string;
}

/** Who may use the kubelet's port, decided by the apiserver. */
export type Access = Delegated<Question>;

export const delegatedAccess = (client: Client, nodeName: string, signal: AbortSignal): Access =>
  delegated(
    client,
    ({ verb, subresource }) => ({
      resourceAttributes: { version: 'v1', resource: 'nodes', name: nodeName, verb, subresource },
    }),
    signal,
  );
