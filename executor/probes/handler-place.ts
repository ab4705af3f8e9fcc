import type { Container } from '../../api/kinds/pod.ts';

/** The container that a probe or a hook is about. */
export interface HandlerPlace {
  container: Container;
  containerId: string;
  podIp: string;
}

/** A port given by number, or by the name it has in the container. Throws in words for the user. */
export function portOf({ ports = [], name }: Container, port: number | string): number {
  const found = ports.find((p) => p.name === port)?.containerPort ?? Number(port);
  if (!Number.isInteger(found) || found < 1 || found > 65_535)
    throw new Error(`container ${name} has no port "${port}"`);
  return found;
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export const hostPort = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
