/**
 * How jest runs a test file here: as Node itself would, not in jest's own module system.
 *
 *   worker ── product and node_modules: loaded once, compiled code kept on disk, warm for the files that follow
 *      └───── test/**: anew for every test file (`?1`, `?2`, …), so that hooks and shared parts are that file's own
 *
 * jest's own runtime reads, compiles and runs every module again for every file, in a context of its own, which cost more
 * processor time than most files' tests. Nothing is transformed: Node strips the types, as it does in production.
 */
import { createRequire, registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import type * as Globals from '@jest/globals';

/** What test files import from @jest/globals. Clocks and functions are replaced by the `mock` of node:test. */
export type FileGlobals = Omit<typeof Globals, 'jest'> & { jest: Jest };
interface Jest {
  setTimeout(ms: number): void;
  retryTimes(times: number, options?: { logErrorsBeforeRetry?: boolean }): void;
}

const require = createRequire(import.meta.url);
const tests = new URL('../', import.meta.url).href;
const here = new URL('./', import.meta.url).href;
let file = 0;
let globals: FileGlobals | undefined;

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === '@jest/globals')
      return { url: `${here}globals.ts?${file}`, format: 'module-typescript', shortCircuit: true };
    const found = next(specifier, context);
    const ofFile = found.url.startsWith(tests) && !found.url.startsWith(here) && found.url.endsWith('.ts');
    return ofFile ? { ...found, url: `${found.url}?${file}` } : found;
  },
});

/** Of the test file that is being loaded. */
export function globalsOfFile(): FileGlobals {
  if (!globals) throw new Error('@jest/globals is for test files that jest runs');
  return globals;
}

/** What jest's runner and jest-circus ask of a runtime. */
export default class NativeRuntime {
  constructor() {
    file++;
  }

  /** The test framework itself, with a state of its own for each file. */
  requireInternalModule(path: string): unknown {
    delete require.cache[path];
    Reflect.deleteProperty(globalThis, Symbol.for('EVENT_HANDLERS'));
    return require(path);
  }

  requireModule(path: string): unknown {
    return require(path);
  }

  unstable_shouldLoadAsEsm(): boolean {
    return true;
  }

  unstable_importModule(path: string): Promise<unknown> {
    return import(`${pathToFileURL(path).href}?${file}`);
  }

  setGlobalsForRuntime(given: Omit<FileGlobals, 'jest'>): void {
    globals = { ...given, jest };
  }

  enterTestCode(): void {}
  leaveTestCode(): void {}
  teardown(): void {
    globals = undefined;
  }

  /** Nothing was transformed, so there is nothing to map. */
  getSourceMaps(): undefined {
    return undefined;
  }

  getAllCoverageInfoCopy(): undefined {
    return undefined;
  }
}

/** Where jest-circus looks for what a file has set; the environment forgets it with the file. */
export const settings = {
  timeout: Symbol.for('TEST_TIMEOUT_SYMBOL'),
  retries: Symbol.for('RETRY_TIMES'),
  retriesAreLogged: Symbol.for('LOG_ERRORS_BEFORE_RETRY'),
};

const jest: Jest = {
  setTimeout(ms) {
    Reflect.set(globalThis, settings.timeout, ms);
  },
  retryTimes(times, options) {
    Reflect.set(globalThis, settings.retries, times);
    Reflect.set(globalThis, settings.retriesAreLogged, options?.logErrorsBeforeRetry);
  },
};
