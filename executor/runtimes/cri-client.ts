import { fileURLToPath } from 'node:url';
import {
  type ClientReadableStream,
  type ServiceClientConstructor,
  type ServiceError,
  Client,
  credentials,
  loadPackageDefinition,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** Bare unary calls; a missing field in an answer has proto3's default. 64-bit integers are numbers. */
export type Call = <A>(
  method: string,
  request: object,
  options?: { timeoutMs?: number; signal?: AbortSignal },
) => Promise<A>;

export interface CriClient {
  runtime: Call;
  image: Call;
  /** The runtime's own events, whichever of the two kinds it has; each item means that something changed. */
  events(listener: () => void, ended: (error: Error) => void): { cancel(): void };
  close(): void;
}

const usualTimeout = 120_000;

/** CRI v1 at a unix socket: `unix:///run/containerd/containerd.sock`, or the bare path. */
export function connectCri(socket: string): CriClient {
  const address = socket.startsWith('/') ? `unix://${socket}` : socket;
  const cri = load('cri.proto', 'runtime.v1');
  const containerd = load('containerd-events.proto', 'containerd.services.events.v1');
  const clients = new Map<string, Client>();
  const clientOf = (service: ServiceClientConstructor, name: string): Client => {
    let client = clients.get(name);
    if (!client) clients.set(name, (client = new service(address, credentials.createInsecure(), channelOptions)));
    return client;
  };
  const unary =
    (name: 'RuntimeService' | 'ImageService'): Call =>
    (method, request, options = {}) =>
      call(clientOf(cri[name]!, name), cri[name]!, method, request, options);

  return {
    runtime: unary('RuntimeService'),
    image: unary('ImageService'),
    events(listener, ended) {
      const fromContainerd = stream(clientOf(containerd.Events!, 'Events'), containerd.Events!, 'Subscribe', {
        // `/tasks/delete` too: CRI learns the exit when containerd has cleaned up
        filters: ['topic~="/tasks/"'],
      });
      return follow(fromContainerd, listener, ended);
    },
    close: () => clients.forEach((client) => client.close()),
  };
}

/** A gRPC refusal that means: it is not there. */
export const isMissing = (error: unknown): boolean => (error as ServiceError).code === status.NOT_FOUND;

/** A gRPC refusal that means: not within the time. */
export const isLate = (error: unknown): boolean => (error as ServiceError).code === status.DEADLINE_EXCEEDED;

/** gRPC's message without its code: `2 UNKNOWN: failed to …` → `failed to …`. */
export const wordsOf = (error: unknown): string => (error as ServiceError).details || (error as Error).message;

const channelOptions = {
  'grpc.default_authority': 'localhost',
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  'grpc.enable_http_proxy': 0,
  'grpc.max_reconnect_backoff_ms': 2_000,
};

function load(file: string, name: string): Record<string, ServiceClientConstructor> {
  const definition = loadSync(fileURLToPath(new URL(file, import.meta.url)), {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  });
  let at: unknown = loadPackageDefinition(definition);
  for (const part of name.split('.')) at = (at as Record<string, unknown>)[part];
  return at as Record<string, ServiceClientConstructor>;
}

function call<A>(
  client: Client,
  { service }: ServiceClientConstructor,
  method: string,
  request: object,
  { timeoutMs = usualTimeout, signal }: { timeoutMs?: number; signal?: AbortSignal },
): Promise<A> {
  const { path, requestSerialize, responseDeserialize } = service[method]!;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const cancel = () => running.cancel();
    const running = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize as (bytes: Buffer) => A,
      request,
      { deadline: Date.now() + timeoutMs },
      (error, answer) => {
        signal?.removeEventListener('abort', cancel);
        if (error) reject(error);
        else resolve(answer!);
      },
    );
    signal?.addEventListener('abort', cancel, { once: true });
  });
}

function stream(client: Client, { service }: ServiceClientConstructor, method: string, request: object) {
  const { path, requestSerialize, responseDeserialize } = service[method]!;
  return client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
}

function follow(source: ClientReadableStream<object>, listener: () => void, ended: (error: Error) => void) {
  let told = false;
  const end = (error: Error) => {
    if (!told) ended(error);
    told = true;
  };
  source.on('data', listener);
  source.on('error', end);
  source.on('end', () => end(new Error('the event stream ended')));
  return {
    cancel() {
      told = true;
      source.cancel();
    },
  };
}
