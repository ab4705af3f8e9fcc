import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Duplex } from 'node:stream';

/** A stream to a port of this machine. */
export async function dial(port: number, host = '127.0.0.1'): Promise<Duplex> {
  const socket = connect({ host, port });
  await once(socket, 'connect');
  return socket;
}

/** Runs in the other namespace: says that it is connected, then passes bytes both ways between there and its fourth stream. */
const program = `
const { Socket, connect } = require('node:net');
const socket = connect({ host: 'localhost', port: Number(process.argv[1]), autoSelectFamily: true, allowHalfOpen: true });
const refused = (error) => { process.stderr.write(error.message || error.code || 'refused'); process.exitCode = 1; };
socket.once('error', refused);
socket.once('connect', () => {
  const ours = new Socket({ fd: 3, allowHalfOpen: true });
  const cut = () => (socket.destroy(), ours.destroy());
  socket.off('error', refused).on('error', cut);
  ours.on('error', cut);
  ours.pipe(socket).pipe(ours);
  process.stdout.write('connected');
});`;

/**
 * A stream to a port in the network of another process, be it bound to the loopback address alone. Rejects when nobody listens.
 * A process of ours enters that network, since Node cannot; it ends with the stream.
 */
export async function dialIn(pid: number, port: number): Promise<Duplex> {
  const child = spawn('nsenter', [`--net=/proc/${pid}/ns/net`, '--', process.execPath, '-e', program, String(port)], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: {},
  });
  const stream = child.stdio[3];
  if (!(stream instanceof Duplex)) throw new Error('the child has no fourth stream');
  let words = '';
  child.stderr?.on('data', (chunk: Buffer) => (words += chunk.toString()));
  stream.once('close', () => child.kill('SIGKILL'));
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('error', reject);
    child.once('close', () => reject(new Error(`cannot connect to port ${port} of the pod: ${words.trim()}`)));
  });
  return stream;
}
