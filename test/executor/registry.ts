import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extract } from 'tar-stream';

export interface Registry {
  /** `127.0.0.1:port`. */
  host: string;
  /** Answers everything with this code instead. */
  refuse(code: number | undefined): void;
  close(): void;
}

/** An image registry that serves one image, `busybox:1`, to whoever knows the login (`name:password`). */
export async function startRegistry(tar: string, login: string): Promise<Registry> {
  const files = await filesIn(tar);
  const blobs = new Map([...files].map(([path, bytes]) => [`sha256:${path.split('/').at(-1)!}`, bytes]));
  const index = JSON.parse(files.get('index.json')!.toString()) as { manifests: { digest: string }[] };
  const wanted = `Basic ${Buffer.from(login).toString('base64')}`;
  let refusing: number | undefined;
  const server: Server = createServer((request, response) => {
    if (refusing !== undefined) return response.writeHead(refusing).end('{"errors":[{"code":"UNAVAILABLE"}]}');
    if (request.headers.authorization !== wanted)
      return response
        .writeHead(401, { 'www-authenticate': 'Basic realm="test"' })
        .end('{"errors":[{"code":"UNAUTHORIZED"}]}');
    const [, kind, name] = /^\/v2\/busybox\/(manifests|blobs)\/([^?]+)/.exec(request.url ?? '') ?? [];
    const digest = kind === 'manifests' && name === '1' ? index.manifests[0]!.digest : (name ?? '');
    const blob = blobs.get(digest);
    if (request.url === '/v2/') return response.end('{}');
    if (!blob) return response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
    const type = kind === 'manifests' ? 'application/vnd.oci.image.manifest.v1+json' : 'application/octet-stream';
    response.writeHead(200, { 'content-type': type, 'docker-content-digest': digest, 'content-length': blob.length });
    return response.end(request.method === 'HEAD' ? undefined : blob);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    refuse: (code) => void (refusing = code),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function filesIn(tar: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for await (const entry of createReadStream(tar).pipe(extract())) {
    const parts: Buffer[] = [];
    for await (const chunk of entry) parts.push(chunk as Buffer);
    files.set(entry.header.name, Buffer.concat(parts));
  }
  return files;
}
