import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from 'undici';
import { Client } from '../../client/client.ts';
import { options, start, type ApiServer, type Deps, type Options } from '../../apiserver/index.ts';
import { defaultsOf } from '../../lib/options.ts';
import { silent } from '../../lib/log.ts';
import { makeCa, type TestAuthority } from '../pki.ts';

export interface TestServer extends ApiServer {
  ca: TestAuthority;
  dir: string;
  kubeconfig: string;
  /** A request as an administrator, unless headers say otherwise. */
  call: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Reply>;
  /** A client of an administrator, or of whose token it is; closed when the server stops. */
  client: (token?: string) => Client;
  stop: () => Promise<void>;
}

/** Whatever JSON came back, for expectations to look into. */
export interface Json {
  [member: string]: Json;
}

/** The list at this place of an answer; throws where there is something else. */
export function listOf<T = Json>(value: Json | undefined): T[] {
  if (Array.isArray(value)) return value as T[];
  throw new Error(`expected a list, found ${JSON.stringify(value)}`);
}

export interface Reply {
  status: number;
  headers: Record<string, string>;
  text: string;
  json: Json;
}

export const adminToken = 'admin-token';

/** A real server over TLS on a free port, with an administrator's token and a kubeconfig for kubectl. */
export async function startServer(overrides: Partial<Options> = {}, deps: Partial<Deps> = {}): Promise<TestServer> {
  const dir = mkdtempSync(join(tmpdir(), 'km-apiserver-'));
  const ca = await makeCa();
  const serving = await ca.issue('kubernetes');
  const write = (name: string, text: string) => {
    const path = join(dir, name);
    writeFileSync(path, text);
    return path;
  };
  const stopping = new AbortController();
  const server = await start(
    {
      ...defaultsOf(options),
      port: 0,
      // No controller makes accounts here, nor looks after nodes and volumes.
      disableAdmissionPlugins: ['ServiceAccount', 'TaintNodesByCondition', 'StorageObjectInUseProtection'],
      tlsCertFile: write('server.pem', serving.cert),
      tlsKeyFile: write('server.key', serving.key),
      clientCaFile: write('ca.pem', ca.pem),
      ...overrides,
    },
    {
      log: silent,
      signal: stopping.signal,
      tokens: [{ token: adminToken, user: { name: 'admin', groups: ['system:masters'] } }],
      ...deps,
    },
  );
  const agent = new Agent({ connect: { ca: ca.pem } });
  const clients: Client[] = [];
  const kubeconfig = write('kubeconfig', kubeconfigOf(server.url, ca.pem));
  return {
    ...server,
    ca,
    dir,
    kubeconfig,
    call: (method, path, body, headers) => call(agent, server.url, method, path, body, headers),
    client(token = adminToken) {
      const client = new Client({ server: server.url, ca: ca.pem, token });
      clients.push(client);
      return client;
    },
    async stop() {
      stopping.abort();
      await Promise.all([agent.destroy(), ...clients.map((client) => client.close())]);
      await server.closed;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function call(
  agent: Agent,
  url: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const given =
    body === undefined ? undefined : typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const type: Record<string, string> = given === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await agent.request({
    origin: url,
    path,
    method: method as 'GET',
    ...(given === undefined ? {} : { body: given }),
    headers: { authorization: `Bearer ${adminToken}`, ...type, ...headers },
  });
  const text = await answer.body.text();
  const isWatch = path.includes('watch=true');
  const isJson = !isWatch && String(answer.headers['content-type']).startsWith('application/json');
  return {
    status: answer.statusCode,
    headers: answer.headers as Record<string, string>,
    text,
    json: (isJson && text ? JSON.parse(text) : {}) as Json,
  };
}

const kubeconfigOf = (server: string, ca: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'km', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'admin', user: { token: adminToken } }],
    contexts: [{ name: 'km', context: { cluster: 'km', user: 'admin' } }],
    'current-context': 'km',
  });
