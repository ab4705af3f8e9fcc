import { Client, type ServiceError, credentials, status } from '@grpc/grpc-js';
import { Reader, Writer } from 'protobufjs/minimal.js';

const states = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
/** https://github.com/grpc/grpc/blob/master/doc/health-checking.md: both messages have one field, numbered 1. */
const method = '/grpc.health.v1.Health/Check';

/** The state a server gives for a service, `SERVING` when it is well. Rejects with what a user can read. */
export function grpcHealth(address: string, service: string, signal: AbortSignal): Promise<string> {
  const client = new Client(address, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });
  const answer = new Promise<string>((resolve, reject) => {
    const cancel = () => call.cancel();
    const call = client.makeUnaryRequest(
      method,
      (name: string) => Buffer.from(Writer.create().uint32(10).string(name).finish()),
      stateIn,
      service,
      (error, state) => {
        signal.removeEventListener('abort', cancel);
        if (error) reject(new Error(wordsOf(error, address), { cause: error }));
        else resolve(state!);
      },
    );
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
  });
  return answer.finally(() => client.close());
}

function stateIn(bytes: Buffer): string {
  const reader = Reader.create(bytes);
  let state = 0;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 8) state = reader.int32();
    else reader.skipType(tag & 7);
  }
  return states[state] ?? 'UNKNOWN';
}

function wordsOf({ code, details }: ServiceError, address: string): string {
  if (code === status.UNIMPLEMENTED)
    return `this server does not implement the grpc health protocol (grpc.health.v1.Health)`;
  if (code === status.CANCELLED) return `timeout: failed to connect service "${address}" within the time of the probe`;
  return `error: health rpc probe failed: ${details}`;
}
