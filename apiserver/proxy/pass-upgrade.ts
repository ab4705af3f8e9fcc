import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Dispatcher } from 'undici';
import { passedBack, passedOn, type Headers } from './headers.ts';
import type { Target } from './target.ts';

/**
 * A request that leaves HTTP, for SPDY or WebSocket, whichever the caller speaks: passed on, then byte for byte. A server
 * that does not agree is heard like any other answer. Resolves when the server has answered.
 */
export function passUpgrade(
  target: Target,
  request: IncomingMessage,
  socket: TLSSocket,
  head: Buffer,
  signal: AbortSignal,
): Promise<void> {
  const { origin, path, dispatcher } = target;
  return new Promise((resolve, reject) => {
    let hasAnswered = false;
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(controller) {
        if (signal.aborted) controller.abort(signal.reason as Error);
        else signal.addEventListener('abort', () => controller.abort(signal.reason as Error), { once: true });
      },
      onRequestUpgrade(_controller, code, headers, server) {
        socket.write(headOf(code, 'Switching Protocols', switched(headers)));
        if (head.length > 0) server.write(head);
        join(socket, server);
        resolve();
      },
      onResponseStart(_controller, code, headers, message = '') {
        hasAnswered = true;
        socket.write(headOf(code, message, { ...passedBack(headers), connection: 'close' }));
      },
      onResponseData(controller, chunk) {
        if (socket.write(chunk)) return;
        controller.pause();
        socket.once('drain', () => controller.resume());
      },
      onResponseEnd() {
        socket.end();
        resolve();
      },
      onResponseError(_controller, error) {
        if (hasAnswered) socket.destroy();
        reject(target.unreachable(error));
      },
    };
    dispatcher.dispatch(
      {
        origin,
        path,
        method: request.method as 'GET',
        headers: { ...passedOn(request), ...target.headers },
        upgrade: request.headers.upgrade!,
      },
      handler,
    );
  });
}

const switched = (headers: IncomingHttpHeaders): Headers => ({
  ...passedBack(headers),
  Connection: 'Upgrade',
  ...(headers.upgrade ? { Upgrade: headers.upgrade } : {}),
});

function headOf(code: number, message: string, headers: Headers): string {
  const lines = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}`));
  return `HTTP/1.1 ${code} ${message}\r\n${lines.join('\r\n')}\r\n\r\n`;
}

function join(client: TLSSocket, server: Duplex & { setNoDelay?: (on: boolean) => void }): void {
  client.setNoDelay(true);
  client.setTimeout(0);
  server.setNoDelay?.(true);
  client.pipe(server);
  server.pipe(client);
  for (const [one, other] of [
    [client, server],
    [server, client],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}
