import { X509Certificate, createPrivateKey } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Backoff, healthyMs } from '../lib/backoff.ts';
import { type KeyPair, type Subject, isFor } from '../lib/certs.ts';
import { delay, unlessAborted } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { replaceFile } from '../lib/replace-file.ts';

export interface KeptCertificateOptions {
  /** Of certificate and key together, so that none is ever without the other. */
  file: string;
  /** Whom it has to name. */
  subject: Subject;
  /** Gets another one from whoever signs. */
  ask(signal: AbortSignal): Promise<KeyPair>;
  /** Called with each new one, once `current` is that. */
  changed?(pair: KeyPair): Promise<void>;
  log: Logger;
  now?: () => number;
  random?: () => number;
}

/** How it is kept, for who watches over us. */
export interface KeptFigures {
  /** For how long the one that is there is good, seconds; below 0 when it has run out, Infinity while there is none. */
  secondsLeft: number;
  /** How often another was asked for and not had. */
  failures: number;
}

/** A wait ends this often, as clocks of machines jump; milliseconds. */
const look = 60_000;

/**
 * A certificate that is kept over restarts, and replaced by a new one in time: somewhere between 70 and 90 % of its life, so
 * that not all nodes of a cluster ask at once.
 */
export class KeptCertificate {
  readonly #options: KeptCertificateOptions;
  readonly #now: () => number;
  #pair: (KeyPair & { expires: number; due: number }) | undefined;
  #failures = 0;
  #next = Promise.withResolvers<KeyPair>();
  /** Ends the wait, when there is something to do before its time. */
  #wake: () => void = () => undefined;

  constructor(options: KeptCertificateOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    try {
      this.#pair = this.#read(readFileSync(options.file, 'utf8'));
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ENOENT')
        options.log.warn({ err, file: options.file }, 'the certificate that was kept is of no use');
    }
  }

  /** Undefined while there is none that is good. */
  get current(): KeyPair | undefined {
    return this.#pair && this.#now() < this.#pair.expires ? this.#pair : undefined;
  }

  get figures(): KeptFigures {
    const { expires = Infinity } = this.#pair ?? {};
    return { secondsLeft: (expires - this.#now()) / 1000, failures: this.#failures };
  }

  /** The one that comes next. */
  next(signal?: AbortSignal): Promise<KeyPair> {
    return unlessAborted(this.#next.promise, signal);
  }

  /** This one is not believed: from now on there is none, and another is asked for. */
  refused(cert: string | undefined): void {
    if (cert === undefined || cert !== this.#pair?.cert) return;
    this.#options.log.warn({ file: this.#options.file }, 'our certificate is not believed any more');
    this.#pair = undefined;
    this.#wake();
  }

  /** Who signs is this one from now on: what another has signed may soon be worth nothing. */
  signedBy(authority: X509Certificate): void {
    if (!this.#pair || new X509Certificate(this.#pair.cert).verify(authority.publicKey)) return;
    this.#pair.due = -Infinity;
    this.#wake();
  }

  /** Asks for what is missing or due, until the signal aborts. */
  async keep(signal: AbortSignal): Promise<void> {
    const { ask, changed, log, file } = this.#options;
    const backoff = new Backoff({ first: 500, max: 30_000 });
    let takenAt = -Infinity;
    while (!signal.aborted) {
      try {
        await this.#untilDue(signal);
        // What is refused as soon as it is there is not asked for again at once.
        if (performance.now() - takenAt < healthyMs) await delay(backoff.next(), signal);
        else if (takenAt > -Infinity) {
          backoff.reset();
          takenAt = -Infinity;
        }
        const pair = await ask(signal);
        const taken = this.#take(pair);
        takenAt = performance.now();
        log.info({ file, until: new Date(taken.expires).toISOString() }, 'got a certificate');
        await changed?.(pair);
      } catch (err) {
        if (signal.aborted) return;
        this.#failures += 1;
        log.warn({ err, file }, 'no certificate was to be had; trying again');
        await delay(backoff.next(), signal).catch(() => undefined);
      }
    }
  }

  #take(pair: KeyPair): { expires: number } {
    const taken = this.#read(`${pair.cert.trim()}\n${pair.key}`);
    const { file } = this.#options;
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    replaceFile(file, `${taken.cert.trim()}\n${taken.key}`);
    this.#pair = taken;
    this.#next.resolve(taken);
    this.#next = Promise.withResolvers();
    return taken;
  }

  /** Throws an Error where it is another's, for other names, or has run out. */
  #read(pem: string): KeyPair & { expires: number; due: number } {
    const { subject, random = Math.random } = this.#options;
    const certificate = new X509Certificate(pem);
    if (!certificate.checkPrivateKey(createPrivateKey(pem))) throw new Error('the key is not that of the certificate');
    if (!certificate.subject.split('\n').includes(`CN=${subject.commonName}`))
      throw new Error(`it is not for ${subject.commonName}, but for ${certificate.subject}`);
    const { hosts = [] } = subject;
    if (!isFor(certificate, hosts)) throw new Error(`it is not for ${hosts.join(' and ')}`);
    const [begins, expires] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()];
    if (expires <= this.#now()) throw new Error(`it has run out: ${certificate.validTo}`);
    const [cert, key] = splitAt(pem, pem.indexOf('-----BEGIN PRIVATE KEY'));
    return { cert, key, expires, due: begins + (expires - begins) * (0.7 + 0.2 * random()) };
  }

  async #untilDue(signal: AbortSignal): Promise<void> {
    while (this.current && this.#now() < this.#pair!.due) {
      const left = Math.min(this.#pair!.due - this.#now(), look);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
        signal.addEventListener('abort', this.#wake, { once: true });
      });
      signal.removeEventListener('abort', this.#wake);
      signal.throwIfAborted();
    }
  }
}

const splitAt = (text: string, at: number): [string, string] => [text.slice(0, at), text.slice(at)];
