import type { X509Certificate } from 'node:crypto';
import type { Client } from '../client/client.ts';
import { type KeyPair, fingerprint, selfSigned } from '../lib/certs.ts';
import type { Logger } from '../lib/log.ts';
import { signedCertificate } from './certificate-request.ts';
import { KeptCertificate, type KeptFigures } from './kept-certificate.ts';
import { nodeUser } from './node-client.ts';

export interface ServingOptions {
  client: Client;
  nodeName: string;
  nodeIps: readonly string[];
  /** Where it is kept. */
  file: string;
  log: Logger;
}

/** Who takes part when it becomes another. */
export interface ServingParts {
  /** New connections see it from now on. */
  show(pair: KeyPair): void;
  /** The Node says what `fingerprints` are. */
  write(): Promise<void>;
}

/**
 * What the kubelet's port shows. Signed by the cluster where that signs such, for the addresses that the Node has; until then,
 * or else, by nobody: whom the Node names by a fingerprint the apiserver believes either way.
 */
export class ServingCertificate {
  readonly #options: ServingOptions;
  readonly #certificate: KeptCertificate;
  #parts: ServingParts | undefined;
  #shown: KeyPair;
  #known: readonly string[];

  static async open(options: ServingOptions): Promise<ServingCertificate> {
    const subject = { ...nodeUser(options.nodeName), hosts: [options.nodeName, ...options.nodeIps] };
    const signerName = 'kubernetes.io/kubelet-serving';
    const { client, file, log } = options;
    const certificate: KeptCertificate = new KeptCertificate({
      file,
      subject,
      ask: (signal) => signedCertificate(client, { signerName, usage: 'server auth', subject }, log, signal),
      changed: (pair) => serving.#changed(pair),
      log,
    });
    const serving = new ServingCertificate(options, certificate, certificate.current ?? (await selfSigned(subject)));
    return serving;
  }

  private constructor(options: ServingOptions, certificate: KeptCertificate, shown: KeyPair) {
    this.#options = options;
    this.#certificate = certificate;
    this.#shown = shown;
    this.#known = [fingerprint(shown.cert)];
  }

  get shown(): KeyPair {
    return this.#shown;
  }

  /** SHA-256 of what is shown, hex, and, while that changes, of what will be. */
  get fingerprints(): readonly string[] {
    return this.#known;
  }

  get figures(): KeptFigures {
    return this.#certificate.figures;
  }

  /** Asks for what is missing or due, until the signal aborts. The Node has to have its addresses: they are what is granted. */
  keep(parts: ServingParts, signal: AbortSignal): Promise<void> {
    this.#parts = parts;
    return this.#certificate.keep(signal);
  }

  signedBy(authority: X509Certificate): void {
    this.#certificate.signedBy(authority);
  }

  /** The Node names the new one before it is shown, and the old one until it no longer is. */
  async #changed(pair: KeyPair): Promise<void> {
    const { show, write } = this.#parts!;
    const said = () =>
      write().catch((err: unknown) => {
        this.#options.log.warn({ err }, 'the Node does not say yet what our port shows; it soon will');
      });
    const [before, next] = [fingerprint(this.#shown.cert), fingerprint(pair.cert)];
    this.#known = [before, next];
    await said();
    this.#shown = pair;
    show(pair);
    this.#known = [next];
    await said();
  }
}
