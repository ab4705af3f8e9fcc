import { type IncomingMessage, createServer } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Pod } from '../../api/kinds/pod.ts';

/** Just enough of an apiserver that kubectl reaches a kubelet through it: it knows its pods and passes bytes on. */
export async function frontDoor(
  kubelet: { port: number; cert: string; key: string },
  pods: () => Pod[],
): Promise<{ url: string; close(): void }> {
  const resource = (name: string, kind: string, verbs: string[]) => ({
    name,
    singularName: '',
    namespaced: true,
    kind,
    verbs,
  });
  const documents: Record<string, object> = {
    '/api': { kind: 'APIVersions', versions: ['v1'] },
    '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [] },
    '/version': { major: '1', minor: '36', gitVersion: 'v1.36.0' },
    '/api/v1': {
      kind: 'APIResourceList',
      groupVersion: 'v1',
      resources: [
        resource('pods', 'Pod', ['get', 'list']),
        ...['exec', 'attach', 'portforward', 'log'].map((name) => resource(`pods/${name}`, 'Pod', ['get', 'create'])),
      ],
    },
  };
  const kubeletPath = (url: URL): string | undefined => {
    const match = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/(log|exec|attach|portforward)$/.exec(url.pathname);
    if (!match) return undefined;
    const [, namespace, name, verb] = match;
    const container =
      url.searchParams.get('container') ?? pods().find((p) => p.metadata.name === name)?.spec.containers[0]?.name;
    const roots: Record<string, string> = {
      log: 'containerLogs',
      exec: 'exec',
      attach: 'attach',
      portforward: 'portForward',
    };
    return `/${roots[verb!]!}/${namespace!}/${name!}${verb === 'portforward' ? '' : `/${container!}`}${url.search}`;
  };
  const ask = (request: IncomingMessage, path: string) =>
    httpsRequest({
      host: '127.0.0.1',
      port: kubelet.port,
      path,
      method: request.method,
      headers: request.headers,
      cert: kubelet.cert,
      key: kubelet.key,
      rejectUnauthorized: false,
      agent: false,
    });

  const open = new Set<Duplex>();
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://x');
    const path = kubeletPath(url);
    const json = (body: object, code = 200) => {
      response.writeHead(code, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    if (documents[url.pathname]) return json(documents[url.pathname]!);
    const name = /^\/api\/v1\/namespaces\/[^/]+\/pods\/([^/]+)$/.exec(url.pathname)?.[1];
    const pod = pods().find((p) => p.metadata.name === name);
    if (pod) return json(pod);
    if (!path)
      return json(
        { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 404, reason: 'NotFound', message: request.url },
        404,
      );
    ask(request, path)
      .on('response', (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
        response.once('close', () => answer.destroy());
      })
      .on('error', () => response.destroy())
      .end();
  });
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    const upstream = ask(request, kubeletPath(new URL(request.url!, 'http://x'))!);
    const headOf = (answer: IncomingMessage) => {
      let text = `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n`;
      for (let i = 0; i < answer.rawHeaders.length; i += 2)
        text += `${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}\r\n`;
      return `${text}\r\n`;
    };
    upstream.on('upgrade', (answer, up, early) => {
      up.on('error', () => socket.destroy());
      socket.write(headOf(answer));
      if (early.length > 0) socket.write(early);
      if (head.length > 0) up.write(head);
      socket.pipe(up).pipe(socket);
      socket.once('close', () => up.destroy());
      up.once('close', () => socket.end());
    });
    upstream.on('response', (answer) => {
      socket.write(headOf(answer));
      answer.pipe(socket);
    });
    upstream.on('error', () => socket.destroy());
    upstream.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      open.forEach((socket) => socket.destroy());
    },
  };
}
