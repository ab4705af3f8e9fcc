import type { Fragment } from './ledger.ts';
import { isExternal, type ServicePort } from './rules.ts';
import type { WriterOptions } from './writer.ts';

/** The rules of one service port in the words of one mode. */
export abstract class PortRules implements Fragment {
  readonly chains = new Map<string, string[]>();
  readonly sets = new Map<string, string>();
  readonly entries = new Map<string, string>();
  protected readonly port: ServicePort;
  protected readonly o: WriterOptions;
  /** `tcp`, `udp`, `sctp`. */
  protected readonly proto: string;

  constructor(port: ServicePort, o: WriterOptions) {
    this.port = port;
    this.o = o;
    this.proto = port.protocol.toLowerCase();
  }

  write(): Fragment {
    this.internal();
    if (isExternal(this.port)) this.external();
    return this;
  }

  /** What comes to the cluster IP. */
  protected abstract internal(): void;
  /** What comes from outside. */
  protected abstract external(): void;
}

/** A mark as the kernel's programs read it: `0x4000`. */
export const hex = (mark: number): string => `0x${mark.toString(16)}`;
