import Docker from 'dockerode';

/** Where Docker answers, as DOCKER_HOST names it: `unix:///var/run/docker.sock`, `tcp://127.0.0.1:2375`. Throws for another form. */
export function connectDocker(host: string): Docker {
  const { protocol, hostname, port, pathname } = URL.canParse(host) ? new URL(host) : new URL('none:');
  if (protocol === 'unix:' && pathname !== '') return new Docker({ socketPath: decodeURIComponent(pathname) });
  if ((protocol === 'tcp:' || protocol === 'http:') && hostname !== '')
    return new Docker({ host: hostname, port: port || 2375, protocol: 'http' });
  throw new Error(
    `--docker-host ${host} is no address of Docker: expected unix:///var/run/docker.sock or tcp://127.0.0.1:2375`,
  );
}

const statusOf = (error: unknown): number | undefined =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined;

export const isMissing = (error: unknown): boolean => statusOf(error) === 404;
/** What was asked for is so already. */
export const isNotModified = (error: unknown): boolean => statusOf(error) === 304;

/** Docker's own words, without those about HTTP around them. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const body: unknown = 'json' in error ? error.json : undefined;
  const said = typeof body === 'object' && body !== null && 'message' in body ? body.message : undefined;
  return typeof said === 'string' ? said : error.message.replace(/^\(HTTP code \d+\) /, '').trim();
}

/** Absent is fine, and so is what is so already. */
export async function orGone(request: Promise<unknown>): Promise<void> {
  await request.catch((error: unknown) => {
    if (!isMissing(error) && !isNotModified(error)) throw new Error(wordsOf(error), { cause: error });
  });
}
