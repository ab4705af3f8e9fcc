import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { eventually } from '../eventually.ts';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { accessSync, constants, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** No command of a test takes longer, ms; beyond the `--timeout` of every one, so that kubectl itself says what it waited for. */
const longest = 150_000;

/** One kubectl for one cluster. */
export class Kubectl {
  readonly version: string;
  readonly #path: string;
  readonly #kubeconfig: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor({ version, path }: InstalledKubectl, kubeconfig: string, env: NodeJS.ProcessEnv = {}) {
    this.version = version;
    this.#path = path;
    this.#kubeconfig = kubeconfig;
    this.#env = env;
  }

  /** Its standard output; throws with what it said when it fails. */
  async run(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...args);
    if (code !== 0)
      throw new Error(`kubectl ${args.join(' ')} (${this.version}) ended with ${code}: ${stderr || stdout}`);
    return stdout;
  }

  try(...args: string[]): Promise<Outcome> {
    return this.feed('', ...args);
  }

  /** With `input` on its standard input. */
  feed(input: string, ...args: string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      const child = execFile(
        this.#path,
        args,
        { env: this.#environment(), timeout: longest, maxBuffer: 64 * 1024 * 1024 },
        (error, stdout, stderr) => {
          const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
          resolve({ code, stdout, stderr });
        },
      );
      // One that fails at once reads nothing.
      child.stdin?.on('error', () => undefined).end(input);
    });
  }

  /** A kubectl that goes on (logs -f, port-forward): kill it when done. */
  start(...args: string[]): ChildProcess & { output: () => string } {
    const child = spawn(this.#path, args, { env: this.#environment(), stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    return Object.assign(child, { output: () => output });
  }

  /** The whole answer of an HTTP server of a pod to `GET path`, through a port-forward. */
  async getThrough(pod: string, port: number, path: string): Promise<string> {
    const forwarding = this.start('port-forward', pod, `:${port}`);
    try {
      const local = await eventually(() => {
        const found = /127\.0\.0\.1:(\d+)/.exec(forwarding.output())?.[1];
        if (!found) throw new Error(`port-forward says "${forwarding.output()}"`);
        return Number(found);
      });
      const socket = connect({ host: '127.0.0.1', port: local });
      socket.write(`GET ${path} HTTP/1.0\r\n\r\n`);
      return await text(socket);
    } finally {
      forwarding.kill();
    }
  }

  /** A command in a terminal of its own, as a user has one. */
  inTerminal(input: string, ...args: string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      const command = [this.#path, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
      const child = execFile(
        'script',
        ['-qefc', command, '/dev/null'],
        { env: this.#environment(), timeout: 30_000 },
        (error, stdout, stderr) => {
          const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
          resolve({ code, stdout, stderr });
        },
      );
      child.stdin?.end(input);
    });
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, HOME: dirname(this.#kubeconfig), KUBECONFIG: this.#kubeconfig, ...this.#env };
  }
}

export interface InstalledKubectl {
  /** `1.27`. */
  version: string;
  path: string;
}

/**
 * Every kubectl of this machine: those named kubectl.1.NN beside the one on PATH, Debian's unpacked by test/run, and the
 * one on PATH where there is no other. Throws when there is none: the tests need one.
 */
export function installedKubectls(): InstalledKubectl[] {
  const found: InstalledKubectl[] = [];
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'kubectl'))
    .find(isProgram);
  if (onPath) {
    const folder = dirname(realpathSync(onPath));
    for (const name of readdirSync(folder)) {
      const match = /^kubectl\.(1\.\d+)$/.exec(name);
      if (match) found.push({ version: match[1]!, path: join(folder, name) });
    }
  }
  const debian = join(process.cwd(), '.km/kubectl/usr/bin/kubectl');
  if (isProgram(debian)) found.push({ version: '1.20', path: debian });
  if (found.length === 0 && onPath) found.push({ version: 'installed', path: onPath });
  if (found.length === 0) throw new Error('there is no kubectl: ./test/run says how to get one');
  return found.sort((a, b) => Number(a.version.slice(2)) - Number(b.version.slice(2)));
}

export const newestKubectl = (): InstalledKubectl => installedKubectls().at(-1)!;

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
