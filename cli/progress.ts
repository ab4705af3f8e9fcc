import pc from 'picocolors';

/** Where text goes, and whether somebody looks at it. */
export interface Screen {
  write(text: string): unknown;
  isTTY?: boolean;
}

const clearLine = '\r\x1b[2K';

/**
 * Says where long work is. On a terminal the step under way is the last line, with its seconds, and becomes a ticked line when it
 * is done; elsewhere each beginning and each end is a line.
 */
export class Progress {
  readonly #screen: Screen;
  readonly #now: () => number;
  #step: { name: string; since: number; timer: NodeJS.Timeout | undefined } | undefined;

  constructor(screen: Screen, now: () => number = Date.now) {
    this.#screen = screen;
    this.#now = now;
  }

  /** A step begins; the one before, if it is not done, is left. */
  begin(name: string): void {
    this.#leave();
    const timer = this.#screen.isTTY ? setInterval(() => this.#show(), 1000).unref() : undefined;
    this.#step = { name, since: this.#now(), timer };
    if (this.#screen.isTTY) this.#show();
    else this.#screen.write(`  ${name} …\n`);
  }

  /** The step is done; `label` is what it made. */
  done(label: string, detail = ''): void {
    const took = this.#step ? ` ${((this.#now() - this.#step.since) / 1000).toFixed(1)} s` : '';
    this.#leave();
    this.#screen.write(`  ${pc.green('✓')} ${label.padEnd(20)} ${pc.dim(`${detail}${took}`.trim())}\n`);
  }

  /** A line besides. */
  say(line: string): void {
    if (this.#step && this.#screen.isTTY) this.#screen.write(clearLine);
    this.#screen.write(`${line}\n`);
    if (this.#step && this.#screen.isTTY) this.#show();
  }

  /** Nothing more is under way. */
  end(): void {
    this.#leave();
  }

  #show(): void {
    const { name, since } = this.#step!;
    const seconds = Math.floor((this.#now() - since) / 1000);
    this.#screen.write(`${clearLine}  ${pc.dim(`… ${name}${seconds > 0 ? ` ${seconds} s` : ''}`)}`);
  }

  #leave(): void {
    if (!this.#step) return;
    clearInterval(this.#step.timer);
    if (this.#screen.isTTY) this.#screen.write(clearLine);
    this.#step = undefined;
  }
}
