import { mkdirSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import pc from 'picocolors';
import { aborted } from '../lib/delay.ts';
import { isLoopback, machineAddress } from '../lib/machine-address.ts';
import { type Values, duration, flag, list, oneOf, port, text } from '../lib/options.ts';
import { type ClusterOptions, startCluster } from './cluster.ts';
import type { Running } from './components.ts';
import { chosenProxy, hasOwnNetwork } from './proxy-mode.ts';
import { Progress } from './progress.ts';

const options = {
  dir: text('Where everything is kept', '.km', '<directory>'),
  port: port('Port of the apiserver', 6443),
  etcdPort: port('Port of etcd', 2379),
  mesosPort: port('Port of the development Mesos master; its agents take the next three', 5050),
  store: oneOf('What keeps the objects', ['auto', 'etcd', 'embedded'], 'auto'),
  runtime: oneOf('What runs containers', ['process', 'cri', 'docker', 'mesos'], 'process'),
  criSocket: text('Socket of the CRI runtime', '/run/containerd/containerd.sock', '<file>'),
  dockerHost: text('Where Docker answers', 'unix:///var/run/docker.sock', '<address>'),
  proxy: oneOf('What serves Services', ['auto', 'userspace', 'nftables', 'iptables', 'none'], 'auto'),
  serviceCidr: text('Addresses of Services; loopback ones unless set, where the proxy is userspace', '', '<cidr>'),
  mesos: text('Masters of a Mesos that is already there, instead of a development one', '', '<masters>'),
  etcdServers: list('Endpoints of an etcd that is already there, instead of one of our own', [], '<url,url>'),
  bindAddress: text(
    'Address the apiserver listens on; 127.0.0.1 unless set, and every one where pods have a network of their own',
    '',
    '<address>',
  ),
  advertise: text('Name or address under which executors and kubectl reach the apiserver', '127.0.0.1', '<host>'),
  executorCommand: text(
    'Command line that starts km executor on an agent; this very program unless set',
    '',
    '<command>',
  ),
  verbose: flag('Say what every server logs, too'),
  readyTimeout: duration('How long a server may take to start', 60_000),
} as const;

/** `km up`: the try-out. */
export const up = {
  options,
  async run(o: Values<typeof options>, { log, signal }: Running): Promise<void> {
    const dir = resolve(o.dir);
    mkdirSync(dir, { recursive: true });
    const progress = new Progress(process.stdout);
    progress.say(pc.bold('km: Kubernetes on Mesos, on this machine'));
    try {
      const cluster = await startCluster(await clusterOptions(o, dir), {
        log,
        signal,
        starting: (what) => progress.begin(what),
        ready: (what, detail) => progress.done(what, detail),
        restarted: (what, how) =>
          progress.say(`  ${pc.yellow('!')} ${what} ${how}; starting it again (logs: ${join(dir, 'logs')})`),
        stopping: (what) => progress.begin(`stopping ${what}`),
      });
      progress.say(
        `\nReady. Try:\n\n${examples(cluster.kubeconfig)}\n\nCtrl-C stops everything; what you made is kept in ${dir}.`,
      );
      await aborted(signal);
      progress.say('');
      await cluster.stop();
      progress.end();
      progress.say('stopped.');
    } finally {
      progress.end();
    }
  },
};

async function clusterOptions(o: Values<typeof options>, dir: string): Promise<ClusterOptions> {
  const proxy = chosenProxy(o.proxy, o.runtime);
  const podsReach = !hasOwnNetwork(o.runtime) || proxy === 'none' ? '' : await reachedByPods(o);
  return {
    dir,
    apiserverPort: o.port,
    etcdPort: o.etcdPort,
    mesosPort: o.mesosPort,
    masters: o.mesos,
    store: o.store,
    etcdServers: o.etcdServers,
    bindAddress: o.bindAddress || (podsReach ? '0.0.0.0' : '127.0.0.1'),
    podsReach,
    advertise: o.advertise,
    executorCommand: o.executorCommand,
    runtime: o.runtime,
    criSocket: o.criSocket,
    dockerHost: o.dockerHost,
    proxy,
    serviceCidr: o.serviceCidr || (proxy === 'userspace' ? '127.96.0.0/16' : '10.96.0.0/12'),
    knownPorts: true,
    logLevel: o.verbose ? 'debug' : 'info',
    readyTimeout: o.readyTimeout,
  };
}

/** What is advertised or bound to, if pods can reach that; else the machine's own address, unless only loopback is wanted. */
async function reachedByPods({ advertise, bindAddress }: Values<typeof options>): Promise<string> {
  const given = [advertise, bindAddress].find((one) => isIP(one) && !isLoopback(one) && !/^(0\.0\.0\.0|::)$/.test(one));
  if (given) return given;
  return isLoopback(bindAddress) ? '' : machineAddress();
}

function examples(kubeconfig: string): string {
  const shown = kubeconfig.startsWith(`${process.cwd()}/`) ? kubeconfig.slice(process.cwd().length + 1) : kubeconfig;
  return [
    `  export KUBECONFIG=${shown}`,
    `  kubectl get nodes -o wide`,
    `  kubectl create deployment hello --image=busybox --replicas=6 -- sh -c 'echo hello from $HOSTNAME; sleep 3600'`,
    `  kubectl get pods -o wide`,
  ].join('\n');
}
