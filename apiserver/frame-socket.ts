import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';

const base64 = 'base64.binary.k8s.io';
const binary = 'binary.k8s.io';

const server = new WebSocketServer({
  noServer: true,
  perMessageDeflate: false,
  maxPayload: 1024,
  handleProtocols: (offered) => (offered.has(base64) ? base64 : offered.has(binary) ? binary : false),
});

export const isWebSocket = ({ headers }: IncomingMessage): boolean => headers.upgrade?.toLowerCase() === 'websocket';

/** A WebSocket that we only write to; what the caller sends is ignored. */
export interface FrameSocket {
  /** One frame: as text where the content is text, unless the subprotocol asks for binary frames, or for base64 in text. */
  write: (bytes: Buffer, done?: () => void) => void;
  /** Bytes that wait for the caller. */
  readonly waiting: number;
  /** 1000: all was said; 1001: the server is stopping; 1011: it broke off. */
  close: (code: 1000 | 1001 | 1011) => void;
  onClose: (listener: () => void) => void;
}

/** Answers an upgrade with a WebSocket of the protocols that watches and logs speak. */
export function openFrameSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  isText: boolean,
  use: (frames: FrameSocket) => void,
): void {
  server.handleUpgrade(request, socket, head, (connection) => use(framesOf(connection, isText)));
}

function framesOf(connection: WebSocket, isText: boolean): FrameSocket {
  connection.on('error', () => connection.terminate());
  return {
    write: (bytes, done) => {
      if (connection.readyState !== connection.OPEN) return done?.();
      if (connection.protocol === base64) connection.send(bytes.toString('base64'), done);
      else connection.send(bytes, { binary: !isText || connection.protocol === binary }, done);
    },
    get waiting() {
      return connection.bufferedAmount;
    },
    close: (code) => connection.close(code),
    onClose: (listener) => void connection.once('close', listener),
  };
}
