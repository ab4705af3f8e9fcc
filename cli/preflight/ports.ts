import { listenOnce } from '../ports.ts';
import { type Finding, error } from './findings.ts';
import type { Listen } from './needs.ts';

/** A port that a server wants, and which server that is. */
export interface Wanted extends Listen {
  server: string;
}

/** Ports that two want, that somebody has, or that this user may not have. */
export async function checkPorts(wanted: readonly Wanted[]): Promise<Finding[]> {
  const twice = wanted.flatMap((one, i) =>
    wanted
      .slice(0, i)
      .filter((other) => isSame(one, other))
      .map((other) => error['port-twice'](one, nameOf(other), nameOf(one))),
  );
  const taken: Finding[] = [];
  // One after the other, so that they are not in each other's way.
  for (const one of wanted) taken.push(...(await tryOut(one)));
  return [...twice, ...taken];
}

async function tryOut(at: Wanted): Promise<Finding[]> {
  try {
    await listenOnce(at.port, at.address, at.protocol);
    return [];
  } catch (cause) {
    const { code = '', message } = cause as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') return [error['port-taken'](at)];
    return [code === 'EACCES' ? error['port-needs-root'](at) : error['port-unusable'](at, code || message)];
  }
}

const isSame = (one: Wanted, other: Wanted): boolean =>
  one.port === other.port && one.protocol === other.protocol && overlap(one.address, other.address);

const everywhere = ['0.0.0.0', '::', ''];
const overlap = (one: string, other: string): boolean =>
  one === other || everywhere.includes(one) || everywhere.includes(other);

const nameOf = ({ server, flag }: Wanted): string => `km ${server} ${flag}`;
