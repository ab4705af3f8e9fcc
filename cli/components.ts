import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Registry } from 'prom-client';
import type { Client } from '../client/client.ts';
import type { Page } from '../client/door.ts';
import type { Logger } from '../lib/log.ts';
import { isLoopback } from '../lib/machine-address.ts';
import { type Options, type Values, duration, flag, number, oneOf, text } from '../lib/options.ts';
import { checkPort } from './ports.ts';
import type { Needs } from './preflight/needs.ts';

/** What a command is given. */
export interface Running {
  log: Logger;
  signal: AbortSignal;
  env: Readonly<Record<string, string | undefined>>;
  /** To be called when the server can be used. */
  ready: () => void;
  /** Command lines that followed, each after a `--`. */
  commands: readonly (readonly string[])[];
}

/** What others would load for nothing is loaded by those who need it. */
const needs = () => import('./preflight/needs.ts');
const kubeconfigs = () => import('../client/kubeconfig.ts');

/** One command of km, and what it takes to run it: a process loads no room but its own. */
export interface Component {
  name: string;
  summary: string;
  load: () => Promise<Loaded>;
}

/** `run` resolves when the server has ended; what it throws ends the process with its message. */
export interface Loaded {
  options: Options;
  /** `values` has one for each row of `options`. */
  run(values: Record<string, unknown>, running: Running): Promise<void>;
  /** What it wants of the machine, where it is a server. */
  needs?: (values: Record<string, unknown>) => Promise<Needs>;
  /** Whether command lines may follow after `--`. */
  takesCommands?: boolean;
}

/** A command whose `run` knows the types of its options; the rows that it is read by are those, so they fit. */
interface Typed<O extends Options> {
  options: O;
  run(options: Values<O>, running: Running): Promise<void>;
  needs?: (options: Values<O>) => Promise<Needs>;
  takesCommands?: boolean;
}

/** Every command has these besides its own. */
export const common = {
  logLevel: oneOf('How much to log', ['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info'),
  logPretty: flag('Log for eyes instead of one JSON object a line'),
} as const;

const clientOptions = {
  kubeconfig: text('Kubeconfig file of the apiserver to work for', '', '<file>'),
  leaderElect: flag('Wait for the lead before working, so that several may run', true),
} as const;

const electionOptions = {
  ...clientOptions,
  leaderElectLeaseDuration: duration('How long others wait for a leader that is silent', 15_000),
  leaderElectRenewDeadline: duration('How long a leader tries to renew the lease before it gives up', 10_000),
  leaderElectRetryPeriod: duration('How often it renews, and others look', 2_000),
} as const;

type Election = Omit<Values<typeof electionOptions>, 'kubeconfig' | 'leaderElect'>;

const component = <O extends Options>(name: string, summary: string, load: () => Promise<Typed<O>>): Component => ({
  name,
  summary,
  load: async () => {
    const { run, needs: wants, ...rest } = await load();
    return {
      ...rest,
      run: (values, running) => run(values as Values<O>, running),
      ...(wants ? { needs: (values) => wants(values as Values<O>) } : {}),
    };
  },
});

/** The page at this machine's name: only the scheduler that leads has it. '' where others do not reach its port. */
const pageAt = ({ port, bindAddress }: { port: number; bindAddress: string }): string =>
  port === 0 || isLoopback(bindAddress) ? '' : `https://${hostname()}:${port}/ui/`;

/** Every command of `km`, in the order of --help. */
export const components: readonly Component[] = [
  component('up', 'Try km out: everything on this machine, with a development Mesos', async () => {
    const { up } = await import('./up.ts');
    return {
      options: up.options,
      needs: async (options) => (await needs()).needsOfUp(options),
      run: (options, running) => up.run(options, running),
    };
  }),
  component('apiserver', 'The Kubernetes API, kept in etcd', async () => {
    const [apiserver, processes] = await Promise.all([import('../apiserver/index.ts'), import('./processes.ts')]);
    return {
      options: {
        ...apiserver.options,
        processes: number('Processes that serve together behind the port, up to one a core; needs etcd', 1, { min: 1 }),
      },
      needs: async (options) => (await needs()).needsOfApiserver(options),
      run: async ({ processes: count, ...options }, { log, signal, ready }) => {
        if (count > 1 && options.etcdServers.length === 0)
          throw new Error('--processes above 1 needs --etcd-servers: the embedded store serves one process');
        if (count > 1 && options.port === 0) throw new Error('--processes above 1 needs a --port to share');
        if (count > 1 && !processes.isShare()) {
          await checkPort(options.port, '--port', options.bindAddress);
          return processes.share(count, { log, signal, ready });
        }
        const shared = processes.isShare()
          ? { sharing: { gatherMetrics: processes.metricsOfAll, instance: processes.instanceOfAll() } }
          : {};
        const server = await apiserver.start(apiserver.shareOf(options, count), { log, signal, ...shared });
        log.info({ url: server.url }, 'apiserver is ready');
        ready();
        await server.closed;
      },
    };
  }),
  component('controller-manager', 'Deployments, ReplicaSets, namespaces, garbage collection, endpoints …', async () => {
    const [controllers, { openDoor }] = await Promise.all([
      import('../controllers/index.ts'),
      import('../client/door.ts'),
    ]);
    return {
      options: { ...electionOptions, ...controllers.options },
      needs: async (options) => (await needs()).needsOfControllerManager(options),
      run: (options, running) => {
        const figures = new controllers.Figures();
        const { registry } = figures;
        const pages: Record<string, Page> = {};
        return working(
          'km-controller-manager',
          options,
          { ...running, registry },
          async (client, { log, signal }) => {
            const { closed, pages: shown } = await controllers.start(options, { client, log, signal, figures });
            Object.assign(pages, shown);
            log.info('controllers are working');
            running.ready();
            await closed;
          },
          // Whoever waits for the lead is asked how he is, too.
          async (client) => {
            const rooms = { name: 'km-controller-manager', registry, checks: () => figures.checks(), pages };
            if (options.port > 0) await openDoor(options, rooms, { ...running, client });
          },
        );
      },
    };
  }),
  component('scheduler', 'The scheduler and its Mesos framework', async () => {
    const [scheduler, framework, { doorOptions, openDoor }, { Informers }] = await Promise.all([
      import('../scheduler/index.ts'),
      import('../framework/index.ts'),
      import('../client/door.ts'),
      import('../client/informer.ts'),
    ]);
    return {
      options: {
        ...electionOptions,
        executorApiserver: text(
          'URL at which executors reach the apiserver; that of the kubeconfig unless set',
          '',
          '<url>',
        ),
        executorToken: text('Bootstrap token that executors show the apiserver', '', '<token>'),
        executorTokenFile: text(
          'File with that token, which others cannot read in the list of processes',
          '',
          '<file>',
        ),
        ...doorOptions,
        ...scheduler.options,
        ...framework.options,
      },
      needs: async (options) => (await needs()).needsOfScheduler(options),
      run: (options, running) => {
        const figures = new scheduler.Figures();
        const { registry } = figures;
        const pages: Record<string, Page> = {};
        const work = async (client: Client, { log, signal }: Pick<Running, 'log' | 'signal'>) => {
          const informers = new Informers(client, log);
          framework.watched(informers);
          scheduler.watched(informers);
          await informers.start(signal);
          const { readKubeconfig } = await kubeconfigs();
          const { server, ca = '' } = readKubeconfig(options.kubeconfig);
          const token = options.executorTokenFile
            ? readFileSync(options.executorTokenFile, 'utf8').trim()
            : options.executorToken;
          const introduction = { server: options.executorApiserver || server, ca, token };
          const frameworkWebuiUrl = options.frameworkWebuiUrl || pageAt(options);
          const mesos = await framework.start(
            { ...options, frameworkWebuiUrl },
            { client, informers, log, signal, introduction, registry },
          );
          const { cluster, closed } = mesos;
          const placing = await scheduler.start(options, { client, informers, cluster, log, signal, figures });
          Object.assign(pages, mesos.pages, placing.pages);
          log.info('scheduling');
          running.ready();
          await closed;
        };
        return working('km-scheduler', options, { ...running, registry }, work, async (client) => {
          await Promise.all([scheduler.check(options), framework.check(options)]);
          const rooms = { name: 'km-scheduler', registry, checks: () => [], pages };
          if (options.port > 0) await openDoor(options, rooms, { ...running, client });
        });
      },
    };
  }),
  component('executor', 'The kubelet; Mesos agents start it', async () => {
    const executor = await import('../executor/index.ts');
    return {
      options: executor.options,
      needs: async (options) => (await needs()).needsOfExecutor(options),
      run: async (options, { log, signal, env, ready }) => {
        const { closed } = await executor.start(options, { log, signal, env });
        ready();
        log.info({ how: await closed }, 'the executor ends');
      },
    };
  }),
  component('dns', 'Names of the cluster: Services, their endpoints and pods', async () => {
    const dns = await import('../dns/index.ts');
    return {
      options: { kubeconfig: clientOptions.kubeconfig, ...dns.options },
      needs: async (options) => (await needs()).needsOfDns(options),
      run: (options, running) =>
        working('km-dns', { ...options, leaderElect: false }, running, async (client, { log, signal }) => {
          const { address, port, closed } = await dns.start(options, { client, log, signal });
          log.info({ address, port }, 'answering names');
          running.ready();
          await closed;
        }),
    };
  }),
  component('proxy', 'Addresses of Services on one node: nftables, iptables or userspace', async () => {
    const proxy = await import('../proxy/index.ts');
    return {
      options: { kubeconfig: clientOptions.kubeconfig, ...proxy.options },
      needs: async (options) => (await needs()).needsOfProxy(options),
      run: async (options, running) => {
        if (options.cleanup) return proxy.cleanup(options, running.log);
        await working('km-proxy', { ...options, leaderElect: false }, running, async (client, { log, signal }) => {
          const { closed } = await proxy.start(options, { client, log, signal });
          log.info({ mode: options.mode }, 'serving addresses of Services');
          running.ready();
          await closed;
        });
      },
    };
  }),
  component('devcluster', 'A development Mesos: masters and agents, for km or any other framework', async () => {
    const devcluster = await import('../devcluster/index.ts');
    return {
      options: devcluster.options,
      needs: async (options) => (await needs()).needsOfDevcluster(options),
      run: async (options, { log, signal, ready }) => {
        const cluster = await devcluster.start(options, { log, signal });
        log.info(
          { masters: cluster.masterUrls, agents: cluster.agents.map(({ url }) => url) },
          'the development Mesos is ready',
        );
        ready();
        await cluster.closed;
      },
    };
  }),
  component(
    'preflight',
    'What is in the way of servers on this machine: km preflight -- apiserver … -- scheduler …',
    async () => {
      const { options, preflight } = await import('./preflight/index.ts');
      return { options, takesCommands: true, run: (values, running) => preflight(values, running, components) };
    },
  ),
  component('pki init', 'Make the CA, certificates, keys, tokens and kubeconfigs of a cluster', async () => {
    const { init } = await import('./pki/commands.ts');
    return { options: init.options, run: (options) => init.run(options) };
  }),
  component('pki renew', 'Renew certificates that run out; the CA stays', async () => {
    const { renew } = await import('./pki/commands.ts');
    return { options: renew.options, run: (options) => renew.run(options) };
  }),
  component('pki rotate', 'Replace a CA: trust a new one too, renew by it, drop the old one', async () => {
    const { rotate } = await import('./pki/commands.ts');
    return { options: rotate.options, run: (options) => rotate.run(options) };
  }),
  component('pki check', 'Tell how long certificates last, and what is wrong with them', async () => {
    const { check } = await import('./pki/commands.ts');
    return { options: check.options, run: (options) => check.run(options) };
  }),
  component('kubeconfig', 'Make a kubeconfig with a client certificate for a user', async () => {
    const { kubeconfig } = await import('./pki/commands.ts');
    return { options: kubeconfig.options, run: (options) => kubeconfig.run(options) };
  }),
];

/** Work for an apiserver as its leader: `work` starts when the lead is won, and its signal aborts when it is lost. */
async function working(
  name: string,
  { kubeconfig, leaderElect, ...election }: Values<typeof clientOptions> & Partial<Election>,
  { log, signal, registry }: Running & { registry?: Registry },
  work: (client: Client, running: { log: Logger; signal: AbortSignal }) => Promise<void>,
  before: (client: Client) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  if (!kubeconfig)
    throw new Error('--kubeconfig is missing: name the file that says where the apiserver is and who we are');
  const [{ Client }, { readKubeconfig }] = await Promise.all([import('../client/client.ts'), kubeconfigs()]);
  const client = new Client({ ...readKubeconfig(kubeconfig), userAgent: name });
  try {
    await before(client);
    if (!leaderElect) return await work(client, { log, signal });
    const times = electionTimes(election);
    const identity = `${hostname()}_${randomUUID()}`;
    const { lead } = await import('../client/lease.ts');
    const leadership = await lead({ client, name, identity, log, signal, registry, ...times });
    await work(client, { log, signal: AbortSignal.any([signal, leadership.lost]) });
    // Whoever has lost the lead ends, and is started again as a follower by what supervises it.
    if (leadership.lost.aborted && !signal.aborted) throw leadership.lost.reason;
    await leadership.release().catch((err: unknown) => log.debug({ err }, 'could not give up the lead'));
  } finally {
    await client.close();
  }
}

/** Milliseconds. Throws an Error where a leader might still work when another one takes over. */
function electionTimes(o: Partial<Election>) {
  const leaseDuration = o.leaderElectLeaseDuration ?? electionOptions.leaderElectLeaseDuration.default;
  const renewDeadline = o.leaderElectRenewDeadline ?? electionOptions.leaderElectRenewDeadline.default;
  const retryPeriod = o.leaderElectRetryPeriod ?? electionOptions.leaderElectRetryPeriod.default;
  if (!(retryPeriod > 0 && retryPeriod < renewDeadline && renewDeadline < leaseDuration))
    throw new Error(
      '--leader-elect-retry-period must be shorter than --leader-elect-renew-deadline, and that shorter than --leader-elect-lease-duration',
    );
  return { leaseDuration, renewDeadline, retryPeriod };
}
