/**
 * `km preflight -- apiserver --port 6443 … -- scheduler …`: looks at this machine before servers are started on it, each with
 * the flags that it will have. Changes nothing.
 *
 *   command lines ─▶ options ─▶ needs (what a server wants) ─▶ ports, peers, machine ─▶ findings ─▶ text or JSON
 */
import pc from 'picocolors';
import { silent } from '../../lib/log.ts';
import { type Options, type Values, flagName, oneOf, readOptions } from '../../lib/options.ts';
import { type Component, type Running, common } from '../components.ts';
import { type Finding, error, warning } from './findings.ts';
import { type Named, checkFiles, checkMachine } from './machine.ts';
import type { Needs } from './needs.ts';
import { type Proxies, checkNames, checkPeers, proxiesOf } from './peers.ts';
import { checkPorts } from './ports.ts';

export const options = {
  output: oneOf('How the findings are told', ['text', 'json'], 'text'),
} as const;

interface Planned {
  server: string;
  needs: Needs;
  files: readonly Named[];
}

/** Tells what it finds on standard output; rejects when some of it is an error. */
export async function preflight(
  o: Values<typeof options>,
  { env, commands }: Running,
  components: readonly Component[],
): Promise<void> {
  const lines = commands.length > 0 ? commands : [['up']];
  const { planned, findings } = await plan(lines, env, components);
  const peers = planned.flatMap(({ needs }) => needs.peers ?? []);
  const wanted = planned.flatMap(({ server, needs }) => (needs.listens ?? []).map((one) => ({ ...one, server })));
  const looked = await checkPeers(peers, wanted, silent);
  const proxies = proxiesOf([...peers, ...looked.leaders], env);
  findings.push(
    ...(await checkPorts(wanted)),
    ...(await checkNames(planned.flatMap(({ needs }) => needs.told ?? []))),
    ...looked.findings,
    ...(await Promise.all(planned.map(({ needs }) => checkMachine(needs, silent)))).flat(),
    ...planned.flatMap(({ files }) => checkFiles(files)),
    ...proxies.proxied.map(({ url, flag, proxy, variable }) => warning.proxied(url, flag, proxy, variable)),
  );
  const once = [...new Map(findings.map((finding) => [finding.message, finding])).values()];
  const servers = lines.map(([server = '']) => server);
  process.stdout.write(o.output === 'json' ? asJson(servers, once, proxies) : asText(servers, once, proxies));
  const errors = once.filter(({ level }) => level === 'error').length;
  if (errors > 0) throw new Error(`${errors} of ${once.length} findings would keep ${servers.join(', ')} from working`);
}

async function plan(
  lines: readonly (readonly string[])[],
  env: Running['env'],
  components: readonly Component[],
): Promise<{ planned: Planned[]; findings: Finding[] }> {
  const planned: Planned[] = [];
  const findings: Finding[] = [];
  for (const [server = '', ...args] of lines) {
    try {
      const loaded = await components.find(({ name }) => name === server)?.load();
      if (!loaded?.needs) throw new Error('there is no server of that name');
      const values: Record<string, unknown> = readOptions({ ...loaded.options, ...common }, args, env);
      if (values.kubeconfig === '') findings.push(error['command-line'](server, '--kubeconfig is missing'));
      planned.push({ server, needs: await loaded.needs(values), files: filesIn(loaded.options, values) });
    } catch (cause) {
      findings.push(error['command-line'](server, (cause as Error).message));
    }
  }
  return { planned, findings };
}

/** The files that options name to be read: their rows are called …File, …Config or kubeconfig. */
const filesIn = (rows: Options, values: Record<string, unknown>): Named[] =>
  Object.keys(rows)
    .filter((key) => /(File|Config|^kubeconfig|^config)$/.test(key))
    .flatMap((key) => [values[key]].flat().map((path) => ({ path, flag: flagName(key) })))
    .filter((named): named is Named => typeof named.path === 'string' && named.path !== '');

const asJson = (servers: readonly string[], findings: readonly Finding[], proxies: Proxies): string =>
  `${JSON.stringify({ servers, findings, ...proxies }, null, 2)}\n`;

function asText(servers: readonly string[], findings: readonly Finding[], { noProxy }: Proxies): string {
  const mark = { error: pc.red('✗'), warning: pc.yellow('!') };
  return [
    pc.bold(`km preflight: ${servers.join(', ')}`),
    ...findings.map(({ code, level, message }) => `  ${mark[level]} ${message} ${pc.dim(`[${code}]`)}`),
    ...(findings.length === 0 ? [`  ${pc.green('✓')} nothing is in the way`] : []),
    '',
    `NO_PROXY=${noProxy}`,
    '',
  ].join('\n');
}
