import type { Client, ClientReadableStream, ServiceClientConstructor } from '@grpc/grpc-js';
import { endedContainer } from './cri-exits.ts';
import { type Call, connect, isMissing, services, unary } from '../grpc.ts';

export interface CriClient {
  runtime: Call;
  image: Call;
  /** The same as `runtime`; undefined for what is not there. */
  orMissing<A>(method: string, request: object, timeoutMs?: number): Promise<A | undefined>;
  /** The runtime's own events, whichever of the two kinds it has; each means that something changed, some that this container has ended. */
  events(listener: (endedContainer?: string) => void, ended: (error: Error) => void): { cancel(): void };
  close(): void;
}

/** CRI v1 at a unix socket. */
export function connectCri(socket: string): CriClient {
  const cri = services(new URL('cri.proto', import.meta.url), 'runtime.v1');
  const containerd = services(new URL('containerd-events.proto', import.meta.url), 'containerd.services.events.v1');
  const [runtime, image] = [connect(cri.RuntimeService!, socket), connect(cri.ImageService!, socket)];
  const events = connect(containerd.Events!, socket);
  const call = unary(runtime, cri.RuntimeService!);
  return {
    runtime: call,
    image: unary(image, cri.ImageService!),
    async orMissing<A>(method: string, request: object, timeoutMs?: number): Promise<A | undefined> {
      try {
        return await call<A>(method, request, timeoutMs === undefined ? {} : { timeoutMs });
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    events(listener, ended) {
      const fromContainerd = stream(events, containerd.Events!, 'Subscribe', {
        // Starts are our own doing. `/tasks/delete` too: CRI learns the exit when containerd has cleaned up.
        filters: ['topic~="/tasks/(exit|delete|oom)"'],
      });
      return follow(fromContainerd, listener, ended);
    },
    close: () => [runtime, image, events].forEach((client) => client.close()),
  };
}

function stream(client: Client, { service }: ServiceClientConstructor, method: string, request: object) {
  const { path, requestSerialize, responseDeserialize } = service[method]!;
  return client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
}

interface Envelope {
  topic?: string;
  event?: { value: Uint8Array };
}

function follow(
  source: ClientReadableStream<Envelope>,
  listener: (endedContainer?: string) => void,
  ended: (error: Error) => void,
) {
  let told = false;
  const end = (error: Error) => {
    if (!told) ended(error);
    told = true;
  };
  source.on('data', ({ topic, event }: Envelope) =>
    listener(topic === '/tasks/delete' && event ? endedContainer(event.value) : undefined),
  );
  source.on('error', end);
  source.on('end', () => end(new Error('the event stream ended')));
  return {
    cancel() {
      told = true;
      source.cancel();
    },
  };
}
