import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Dispatcher } from 'undici';
import { StatusError, type Status } from '../../api/status.ts';
import { openFrameSocket, type FrameSocket } from '../frame-socket.ts';
import type { Target } from '../proxy/target.ts';

/** The log of a container over a WebSocket: its bytes as they come, in frames. Throws what the kubelet refuses with. */
export async function openLogSocket(
  { origin, path, dispatcher, unreachable }: Target,
  request: IncomingMessage,
  socket: TLSSocket,
  head: Buffer,
  signal: AbortSignal,
): Promise<void> {
  const log = await dispatcher.request({ origin, path, method: 'GET', signal }).catch((error: unknown) => {
    throw unreachable(error as Error);
  });
  if (log.statusCode !== 200) throw await refusal(log);
  openFrameSocket(request, socket, head, false, (frames) => void pour(log.body, frames));
}

/** Reads on only when the caller has what was read. */
async function pour(log: AsyncIterable<Buffer>, frames: FrameSocket): Promise<void> {
  // Says that the stream is open before the first line is there.
  frames.write(Buffer.alloc(0));
  try {
    for await (const chunk of log) await new Promise<void>((resolve) => frames.write(chunk, resolve));
    frames.close(1000);
  } catch {
    frames.close(1011);
  }
}

async function refusal({ statusCode, body }: Dispatcher.ResponseData): Promise<StatusError> {
  const text = await body.text();
  try {
    return StatusError.from(JSON.parse(text) as Status);
  } catch {
    return new StatusError(statusCode, undefined, text.slice(0, 200));
  }
}
