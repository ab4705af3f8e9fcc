import { fileURLToPath } from 'node:url';
import {
  type Client,
  type ServiceClientConstructor,
  type ServiceError,
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

const usualTimeout = 120_000;

const channelOptions = {
  'grpc.default_authority': 'localhost',
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  'grpc.enable_http_proxy': 0,
  'grpc.max_reconnect_backoff_ms': 2_000,
};

/** The services of one proto file, by name. */
export function services(file: URL, name: string): Record<string, ServiceClientConstructor> {
  const definition = loadSync(fileURLToPath(file), { keepCase: true, longs: Number, enums: String, defaults: true });
  let at: unknown = loadPackageDefinition(definition);
  for (const part of name.split('.')) at = (at as Record<string, unknown>)[part];
  return at as Record<string, ServiceClientConstructor>;
}

/** A client of a service at a unix socket: `unix:///run/containerd/containerd.sock`, or the bare path. */
export const connect = (service: ServiceClientConstructor, socket: string): Client =>
  new service(socket.startsWith('/') ? `unix://${socket}` : socket, credentials.createInsecure(), channelOptions);

export const unary =
  (client: Client, { service }: ServiceClientConstructor): Call =>
  <A>(
    method: string,
    request: object,
    { timeoutMs = usualTimeout, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
  ) => {
    const { path, requestSerialize, responseDeserialize } = service[method]!;
    return new Promise<A>((resolve, reject) => {
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
  };

/** A gRPC refusal that means: it is not there. */
export const isMissing = (error: unknown): boolean => (error as ServiceError).code === status.NOT_FOUND;

/** A gRPC refusal that means: not within the time. */
export const isLate = (error: unknown): boolean => (error as ServiceError).code === status.DEADLINE_EXCEEDED;

/** A gRPC refusal that means: an older server, which has no such call. */
export const isUnimplemented = (error: unknown): boolean => (error as ServiceError).code === status.UNIMPLEMENTED;

/** gRPC's message without its code: `2 UNKNOWN: failed to …` → `failed to …`. */
export const wordsOf = (error: unknown): string => (error as ServiceError).details || (error as Error).message;
