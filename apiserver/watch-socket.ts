import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Sink, Watch } from './verbs/watch.ts';

const base64 = 'base64.binary.k8s.io';
const binary = 'binary.k8s.io';

const server = new WebSocketServer({
  noServer: true,
  perMessageDeflate: false,
  maxPayload: 1024,
  handleProtocols: (offered) => (offered.has(base64) ? base64 : offered.has(binary) ? binary : false),
});

export const isWebSocket = ({ headers }: IncomingMessage): boolean => headers.upgrade?.toLowerCase() === 'websocket';

/**
 * A watch over a WebSocket: one event a frame. JSON goes as text, protobuf as binary; the subprotocol can ask for binary
 * frames, or for base64 in text ones. What the caller sends is ignored.
 */
export function openWatchSocket(
  watch: Watch,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  signal: AbortSignal,
): void {
  server.handleUpgrade(request, socket, head, (connection) => watch.open(sinkOf(connection, watch, signal)));
}

function sinkOf(connection: WebSocket, { contentType }: Watch, signal: AbortSignal): Sink {
  const isText = contentType === 'application/json' && connection.protocol !== binary;
  const stop = () => connection.close(1001);
  signal.addEventListener('abort', stop, { once: true });
  connection.on('error', () => connection.terminate());
  connection.once('close', () => signal.removeEventListener('abort', stop));
  return {
    oneByOne: true,
    write: (bytes) => {
      if (connection.readyState !== connection.OPEN) return;
      if (connection.protocol === base64) connection.send(bytes.toString('base64'));
      else connection.send(bytes, { binary: !isText });
    },
    get waiting() {
      return connection.bufferedAmount;
    },
    end: () => connection.close(1000),
  };
}
