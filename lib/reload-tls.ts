import { createSecureContext, type SecureContextOptions, type Server } from 'node:tls';
import type { Logger } from './log.ts';
import { watchFiles } from './watch-files.ts';

/**
 * Gives the server what `read` answers whenever one of the files changes, until the signal aborts: new connections get the new
 * certificate, open ones stay. What cannot be used (a key that is not the certificate's, as between two writes) is told and not taken:
 * the server goes on with what it has.
 */
export function reloadTls(
  server: Pick<Server, 'setSecureContext'>,
  paths: readonly string[],
  read: () => SecureContextOptions,
  { log, ...when }: { log: Logger; signal: AbortSignal; interval?: number },
): void {
  const changed = () => {
    try {
      const options = read();
      createSecureContext(options);
      server.setSecureContext(options);
      log.info({ files: paths }, 'certificates were read anew');
    } catch (err) {
      log.warn({ err, files: paths }, 'changed certificates cannot be used; going on with those of before');
    }
  };
  watchFiles(paths, changed, when);
}
