/**
 * What the agents of a replay fetch: the programs of executors, from a server as the recorded one. Where a recording has what an
 * executor said, the replay says it: its program only starts, tells us what it found, and ends as that of the recording did.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { at, parse, textAt } from './json.ts';
import type { Learnt } from './names.ts';
import { until } from './until.ts';

/** It ends when it is answered. */
const silent = (home: string): string => `#!/usr/bin/env node
const body = JSON.stringify({ environment: process.env, cwd: process.cwd() });
const answer = await fetch('${home}', { method: 'POST', body });
const code = await answer.text();
if (code === 'SIGKILL') process.kill(process.pid, code);
else process.exit(Number(code));
`;

interface Started {
  /** What it found. */
  words: unknown;
  answer: ServerResponse;
}

export class Programs {
  /** What was asked for, and nobody compared yet: `GET /executor.mjs`. */
  readonly asked: string[] = [];
  readonly names: Learnt;
  readonly #server: Server;
  readonly #started = new Map<string, Started>();

  private constructor(server: Server, host: string) {
    this.#server = server;
    this.names = { [`http://${host}`]: this.url };
  }

  /** In place of that host of the recording. The program of executors that nobody plays acts on its own. */
  static async serve(host: string, arePlayed: boolean): Promise<Programs> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const programs = new Programs(server, host);
    const program = arePlayed
      ? silent(programs.url)
      : readFileSync(join(import.meta.dirname, '../executor.mjs'), 'utf8');
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      if (request.method === 'POST') return void programs.#start(request, response);
      programs.asked.push(`${request.method} ${request.url}`);
      response.end(program);
    });
    return programs;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #start(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const words = parse(text);
    this.#started.set(textAt(words, 'environment', 'MESOS_EXECUTOR_ID') ?? '', { words, answer });
  }

  /** What the executor found when it started. */
  async environmentOf(executor: string): Promise<unknown> {
    await until(`the start of executor ${executor}`, () => this.#started.has(executor));
    return at(this.#started.get(executor)?.words, 'environment');
  }

  /** `code` may be the name of a signal. */
  end(executor: string, code: string): void {
    this.#started.get(executor)?.answer.end(code);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
