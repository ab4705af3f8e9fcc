import { Readable, Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import { type CommandStreams, type Wanted, drained, sizeIn } from './command-streams.ts';

/**
 * Sub-protocols of exec and attach, best first. v5 can end stdin; those without a number have no Status at the end but a
 * sentence when something failed; base64 ones write the channel as a digit, and what follows it in base64.
 */
export const commandProtocols = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v4.base64.channel.k8s.io',
  'channel.k8s.io',
  'base64.channel.k8s.io',
];

/** Of old clients: no Status, and nothing at all when all went well. */
const hasBareErrors = (protocol: string): boolean => !/^v\d/.test(protocol);

const [stdinChannel, stdoutChannel, stderrChannel, errorChannel, resizeChannel, closeChannel] = [0, 1, 2, 3, 4, 255];
/** Input that may wait for the command before the socket is read no further, bytes. */
const inputBuffer = 256 * 1024;

/** How a protocol writes a message of a channel. */
interface ChannelFrames {
  write: (channel: number, data: Buffer) => Buffer | string;
  read: (message: Buffer) => { from: number | undefined; data: Buffer };
}

const binary: ChannelFrames = {
  write: (channel, data) => Buffer.concat([Buffer.from([channel]), data]),
  read: (message) => ({ from: message[0], data: message.subarray(1) }),
};

const base64: ChannelFrames = {
  write: (channel, data) => `${channel}${data.toString('base64')}`,
  read: (message) => ({
    from: Number.parseInt(message.toString('latin1', 0, 1)),
    data: Buffer.from(message.toString('latin1', 1), 'base64'),
  }),
};

const framesOf = ({ protocol }: WebSocket): ChannelFrames => (protocol.includes('base64') ? base64 : binary);

const nothing = Buffer.alloc(0);

/** exec and attach over a WebSocket: the first byte of each message is its channel. */
export function websocketCommand(socket: WebSocket, wanted: Wanted): CommandStreams {
  const resized: ((columns: number, rows: number) => void)[] = [];
  const stdin = wanted.stdin ? new Readable({ highWaterMark: inputBuffer, read: () => socket.resume() }) : undefined;
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => socket.terminate());
  void closed.then(() => stdin?.destroy());
  stdin?.on('error', () => undefined);
  const frames = framesOf(socket);
  socket.on('message', (message: Buffer) => {
    const { from, data } = frames.read(message);
    if (from === stdinChannel && stdin && data.length > 0 && !stdin.readableEnded) {
      if (!stdin.push(data)) socket.pause();
    } else if (from === closeChannel && data[0] === stdinChannel) stdin?.push(null);
    else if (from === resizeChannel) {
      const size = sizeIn(data.toString());
      if (size) resized.forEach((listener) => listener(size.columns, size.rows));
    }
  });
  const stdout = wanted.stdout ? channel(socket, frames, stdoutChannel!) : undefined;
  const stderr = wanted.stderr && !wanted.tty ? channel(socket, frames, stderrChannel!) : undefined;
  // Tells the client that the server is there, as a kubelet does.
  socket.send(frames.write(stdout ? stdoutChannel! : stderr ? stderrChannel! : errorChannel!, nothing));
  return {
    stdin,
    stdout,
    stderr,
    onResize: (listener) => resized.push(listener),
    closed,
    async finish(ending) {
      await Promise.all([drained(stdout), drained(stderr)]);
      const last = hasBareErrors(socket.protocol) ? (ending.message ?? '') : JSON.stringify(ending);
      if (socket.readyState === socket.OPEN && last !== '') socket.send(frames.write(errorChannel!, Buffer.from(last)));
      socket.resume(); // the close handshake has to be read
      socket.close(1000);
    },
  };
}

function channel(socket: WebSocket, frames: ChannelFrames, number: number): Writable {
  const stream = new Writable({
    write(data: Buffer, _encoding, done) {
      if (socket.readyState !== socket.OPEN) return done(new Error('the client has gone'));
      socket.send(frames.write(number, data), (error) => done(error));
    },
  });
  stream.on('error', () => undefined); // the client went away: `closed` tells it
  return stream;
}
