import { type Values, duration, flag, list, number, oneOf, port, text } from '../lib/options.ts';
import { zooKeeperTlsOptions } from '../mesos/zookeeper-tls.ts';

export const options = {
  mesosMaster: text(
    'The Mesos masters: zk://host:port,…/path, host:port,…, a URL or file:///path',
    '127.0.0.1:5050',
    '<masters>',
  ),
  mesosRole: text('The Mesos role whose resources pods use, where their namespace has none of its own', '*', '<role>'),
  mesosRoles: list(
    'More Mesos roles, for namespaces that name one in the annotation k8s.mesosphere.io/role',
    [],
    '<role,…>',
  ),
  namespaceRoles: list('Mesos roles of namespaces, where no annotation says otherwise', [], '<namespace=role,…>'),
  mesosUser: text('The user executors run as; empty: as the agent decides', '', '<user>'),
  mesosPrincipal: text('Principal for Mesos authentication', '', '<name>'),
  mesosSecretFile: text('File with the secret of the principal', '', '<file>'),
  mesosCaFile: text('CA certificate of masters that speak TLS; naming it turns TLS on', '', '<file>'),
  mesosCertFile: text('Client certificate for the masters', '', '<file>'),
  mesosKeyFile: text('Key of the client certificate', '', '<file>'),
  ...zooKeeperTlsOptions,
  frameworkName: text(
    'Name of the framework in Mesos; two clusters on one Mesos need two names',
    'kubernetes',
    '<name>',
  ),
  frameworkWebuiUrl: text(
    'Link that the Mesos UI shows; the page at --port under this machine’s name unless set',
    '',
    '<url>',
  ),
  failoverTimeout: duration('How long Mesos keeps the pods of a scheduler that is away', 7 * 86_400_000),
  settingsFile: text(
    'File with those settings that may change while the scheduler runs, in YAML by the names of their flags: offer-linger, refuse-waiting, refuse-idle, revive-interval, namespace-roles',
    '',
    '<file>',
  ),
  regionAware: flag('Also use agents of other regions than the master’s', true),
  gpus: flag('Also use agents that have GPUs', false),
  revocable: flag(
    'Run BestEffort pods annotated k8s.mesosphere.io/revocable=true on cores that Mesos takes back at any time',
    false,
  ),
  executorCommand: text('Command line that starts km executor on an agent', 'km executor', '<command>'),
  executorArchive: text(
    'Archive of km (km-….tar.gz) that agents fetch from this scheduler; the command line finds its km',
    '',
    '<file>',
  ),
  executorArchivePort: port('Port where agents fetch it, over HTTP; 0 for any', 10_270),
  executorArchiveAddress: text(
    'Name or address under which they reach that port; the address by which this machine goes out unless set',
    '',
    '<host>',
  ),
  executorUris: list('What the Mesos fetcher brings into the sandbox before that', [], '<uri,…>'),
  executorEnv: list('Environment of the executor', [], '<NAME=value,…>'),
  executorCpus: number('Cores that the executor itself is accounted with', 0.1),
  executorMem: number('Megabytes that the executor itself is accounted with', 128),
  defaultPodCpus: number('Cores of a pod that asks for none', 0.25),
  defaultPodMem: number('Megabytes of a pod that asks for none', 64),
  portMapping: oneOf(
    'Whether ports of containers without a host port get one of those that are offered, where no label of their pod says it',
    ['fixed', 'wildcard'],
    'fixed',
  ),
  minOfferCpus: number('Least cores of an offer that is worth an offer; with 0 the masters decide', 0),
  minOfferMem: number('Least megabytes of an offer that is worth an offer; with 0 the masters decide', 0),
  offerConstraints: flag(
    'Ask for offers of those agents only that pods which wait can use (Mesos 1.11 and newer)',
    true,
  ),
  offerLinger: duration('How long unused offers are kept for the next pod of a burst', 250),
  refuseWaiting: duration('How long others have an offer first that no waiting pod fits', 5_000),
  refuseIdle: duration('How long others have an offer first while no pod waits', 120_000),
  reviveInterval: duration('Shortest time between two requests for fresh offers', 1_000),
  gather: duration('How long seats of one agent are gathered into one launch', 10),
  launchTimeout: duration('After how long a launch without an answer is asked about', 60_000),
  maintenanceLead: duration('How long before its maintenance a node gets no more pods and is emptied', 3_600_000),
  maxPods: number('Pods that a node may have', 110, { min: 1 }),
  maintenanceInterval: duration('Time between two looks at the maintenance schedule of the masters', 15_000),
  quotaInterval: duration(
    'Time between two looks, while pods wait, at the quota of our Mesos roles, so that pods can say that it is used up; and at what Mesos takes back',
    30_000,
  ),
  volumeAudit: duration(
    'Time between two looks at what agents have, and at disk that Mesos keeps for claims that are gone',
    300_000,
  ),
} as const;

/** The rows that a settings file may hold; as they were given where it does not. */
export const live = (o: Values<typeof options>) => ({
  offerLinger: { ...options.offerLinger, default: o.offerLinger },
  refuseWaiting: { ...options.refuseWaiting, default: o.refuseWaiting },
  refuseIdle: { ...options.refuseIdle, default: o.refuseIdle },
  reviveInterval: { ...options.reviveInterval, default: o.reviveInterval },
  namespaceRoles: { ...options.namespaceRoles, default: o.namespaceRoles },
});

type Pace = Pick<Values<typeof options>, 'offerLinger' | 'reviveInterval' | 'refuseWaiting' | 'refuseIdle'>;

/** How long offers are kept and refused, as State wants it. */
export const paceOf = (o: Pace) => ({
  linger: o.offerLinger,
  reviveInterval: o.reviveInterval,
  refuseWaiting: o.refuseWaiting / 1000,
  refuseIdle: o.refuseIdle / 1000,
});
