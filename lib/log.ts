import { pino, type Logger } from 'pino';

export type { Logger };

export interface LogOptions {
  level: string;
  /** Write for eyes (colours, short times) instead of one JSON object a line. */
  pretty: boolean;
}

/**
 * The root logger of one process. Components take a child: `log.child({ component: 'apiserver' })`.
 * Write a constant sentence and fields; the same keys everywhere: `pod`, `node`, `task`, `offer`, `agent`, `framework`, `err`.
 */
export function createLog({ level, pretty }: LogOptions): Logger {
  return pino({
    level,
    base: null,
    ...(pretty
      ? {
          transport: {
            target: 'pino-pretty',
            options: { colorize: true, translateTime: 'HH:MM:ss.l', destination: 2 },
          },
        }
      : {}),
  });
}

/** A logger that says nothing: the default of tests. */
export const silent: Logger = pino({ level: 'silent' });
