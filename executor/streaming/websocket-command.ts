import { Readable, Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import { type CommandStreams, type Wanted, drained, sizeIn } from './command-streams.ts';

/** Sub-protocols of exec and attach, best first; v5 can end stdin. */
export const commandProtocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

const [stdinChannel, stdoutChannel, stderrChannel, errorChannel, resizeChannel, closeChannel] = [0, 1, 2, 3, 4, 255];
/** Input that may wait for the command before the socket is read no further, bytes. */
const inputBuffer = 256 * 1024;

/** exec and attach over a WebSocket: the first byte of each message is its channel. */
export function websocketCommand(socket: WebSocket, wanted: Wanted): CommandStreams {
  const resized: ((columns: number, rows: number) => void)[] = [];
  const stdin = wanted.stdin ? new Readable({ highWaterMark: inputBuffer, read: () => socket.resume() }) : undefined;
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => socket.terminate());
  void closed.then(() => stdin?.destroy());
  stdin?.on('error', () => undefined);
  socket.on('message', (message: Buffer) => {
    const data = message.subarray(1);
    if (message[0] === stdinChannel && stdin && data.length > 0 && !stdin.readableEnded) {
      if (!stdin.push(data)) socket.pause();
    } else if (message[0] === closeChannel && data[0] === stdinChannel) stdin?.push(null);
    else if (message[0] === resizeChannel) {
      const size = sizeIn(data.toString());
      if (size) resized.forEach((listener) => listener(size.columns, size.rows));
    }
  });
  const stdout = wanted.stdout ? channel(socket, stdoutChannel!) : undefined;
  const stderr = wanted.stderr && !wanted.tty ? channel(socket, stderrChannel!) : undefined;
  // Tells the client that the server is there, as a kubelet does.
  socket.send(Buffer.from([stdout ? stdoutChannel! : stderr ? stderrChannel! : errorChannel!]));
  return {
    stdin,
    stdout,
    stderr,
    onResize: (listener) => resized.push(listener),
    closed,
    async finish(status) {
      await Promise.all([drained(stdout), drained(stderr)]);
      if (socket.readyState === socket.OPEN)
        socket.send(Buffer.concat([Buffer.from([errorChannel!]), Buffer.from(JSON.stringify(status))]));
      socket.resume(); // the close handshake has to be read
      socket.close(1000);
    },
  };
}

function channel(socket: WebSocket, number: number): Writable {
  const stream = new Writable({
    write(data: Buffer, _encoding, done) {
      if (socket.readyState !== socket.OPEN) return done(new Error('the client has gone'));
      socket.send(Buffer.concat([Buffer.from([number]), data]), (error) => done(error));
    },
  });
  stream.on('error', () => undefined); // the client went away: `closed` tells it
  return stream;
}
