import { outcome } from './failed.ts';
import { settings } from './runtime.ts';

/** The world of a test file: the worker's own. What the file sets in it is set back for the next one. */
export default class NativeEnvironment {
  readonly global = globalThis;
  readonly #environment = { ...process.env };
  readonly #directory = process.cwd();
  readonly #exit = process.exit;
  readonly #console = globalThis.console;
  readonly #traced = Error.stackTraceLimit;

  setup(): Promise<void> {
    // jest asks for deep traces, and every error that is made would pay for them.
    Error.stackTraceLimit = this.#traced;
    outcome.hasFailed = false;
    return Promise.resolve();
  }

  teardown(): Promise<void> {
    for (const name of Object.keys(process.env)) if (!(name in this.#environment)) delete process.env[name];
    Object.assign(process.env, this.#environment);
    process.chdir(this.#directory);
    process.exit = this.#exit;
    globalThis.console = this.#console;
    for (const name of Object.values(settings)) Reflect.deleteProperty(globalThis, name);
    return Promise.resolve();
  }

  /** Whoever keeps logs may tell them. */
  handleTestEvent({ name }: { name: string }): void {
    if (name === 'test_fn_failure' || name === 'hook_failure') outcome.hasFailed = true;
  }

  /** There is no context but Node's own. */
  getVmContext(): null {
    return null;
  }

  exportConditions(): string[] {
    return ['node', 'node-addons'];
  }
}
