import { request, Agent as HttpAgent, type IncomingMessage, type RequestOptions } from 'node:http';
import { RecordDecoder } from '../../../mesos/recordio.ts';
import { listAt, parse } from './json.ts';
import { type Api, apiOf, protobuf, typeOf } from './recording.ts';

export interface Given {
  message: IncomingMessage;
  /** Undefined for a stream. */
  body: string | undefined;
}

/** One connection of a recording, as it is here: its answers in order, and what its stream has said and nobody compared yet. */
export class Connection {
  events: unknown[] = [];
  offers: unknown[] = [];
  /** That it was offered something for. */
  readonly roles = new Set<string | undefined>();
  streamId = '';
  /** That of the last request. */
  authorization: string | undefined;
  ended = false;
  /** That of the last request. */
  api: Api = apiOf('');
  readonly #agent = new HttpAgent({ keepAlive: true, maxSockets: 1 });
  readonly #answers: Promise<Given>[] = [];
  #stream: IncomingMessage | undefined;

  send(options: RequestOptions, payload: Buffer): void {
    const agent = options.method === 'HEAD' ? false : this.#agent;
    this.api = apiOf(options.path ?? '');
    const answer = answerTo({ ...options, agent }, payload);
    // Where nobody listens, that is what the recording has, too.
    answer.catch(() => undefined);
    this.#answers.push(answer);
  }

  /** That to the first request without one. */
  async answer(): Promise<Given> {
    const given = await this.#answers.shift();
    if (!given) throw new Error('an answer is recorded to which nothing was asked');
    return given;
  }

  listen(message: IncomingMessage): void {
    const decoder = new RecordDecoder();
    const { api } = this;
    const isProtobuf = message.headers['content-type'] === protobuf;
    this.#stream = message;
    message.on('data', (chunk: Buffer) => {
      for (const record of decoder.push(chunk)) this.#take(isProtobuf ? api.event(record) : parse(record.toString()));
    });
    message.on('error', () => message.destroy());
    message.on('close', () => (this.ended = true));
  }

  #take(event: unknown): void {
    if (typeOf(event) === 'OFFERS') this.offers.push(...listAt(event, 'offers', 'offers'));
    else if (typeOf(event) !== 'HEARTBEAT') this.events.push(event);
  }

  /** The client's end of it. */
  breakStream(): void {
    this.#stream?.destroy();
  }

  /** Nobody reads on, whatever else there is. */
  leave(): void {
    this.breakStream();
    this.events = [];
  }

  close(): void {
    this.breakStream();
    this.#agent.destroy();
  }
}

function answerTo(options: RequestOptions, payload: Buffer): Promise<Given> {
  return new Promise((resolve, reject) => {
    const send = () => {
      const sent = request(options, (message) => {
        if (message.headers['transfer-encoding'] === 'chunked') return resolve({ message, body: undefined });
        let text = '';
        message.on('data', (chunk) => (text += String(chunk)));
        message.on('end', () => resolve({ message, body: text }));
      });
      // A connection that was idle may be closed while the next call is on its way.
      sent.on('error', (error: NodeJS.ErrnoException) =>
        sent.reusedSocket && error.code === 'ECONNRESET' ? send() : reject(error),
      );
      sent.end(payload);
    };
    send();
  });
}
