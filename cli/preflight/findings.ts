/** Everything that a preflight can find: a code, how bad it is, and a sentence that says what to do. docs/troubleshooting.md has more of each. */

export interface Finding {
  code: Code;
  /** An error keeps a server from working; a warning may. */
  level: 'error' | 'warning';
  message: string;
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
const megabytes = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MB`;

interface At {
  address: string;
  port: number;
  protocol: string;
  flag: string;
}

const errors = {
  'command-line': (server: string, why: string) => `km ${server} cannot be started so: ${why}`,
  'port-taken': ({ address, port, protocol, flag }: At) =>
    `port ${port} (${protocol}) on ${address} is already in use: stop what has it, or choose another with ${flag}`,
  'port-twice': ({ port, protocol }: At, one: string, other: string) =>
    `port ${port} (${protocol}) is asked for twice, by ${one} and by ${other}: give one of them another`,
  'port-needs-root': ({ port, flag }: At) =>
    `this user may not listen on port ${port}: run as root, choose a port from 1024 on with ${flag}, or lower the limit with sysctl net.ipv4.ip_unprivileged_port_start=${port}`,
  'port-unusable': ({ address, port, flag }: At, why: string) =>
    `nothing can listen on ${address}:${port} (${why}): name an address of this machine, and look at ${flag}`,
  'root-missing': (why: string, instead: string) => `${why}, which takes root: run as root, or use ${instead}`,
  'program-missing': (name: string, why: string, from: string) =>
    `there is no ${name} on PATH (${why}): install it, on Debian and Ubuntu with apt-get install ${from}`,
  'socket-silent': (path: string, flag: string, why: string) =>
    `no container runtime answers at ${path} (${why}): start it, run as a user who may use it, or name its socket with ${flag}`,
  'name-unknown': (host: string, flag: string) =>
    `the name ${host} of ${flag} cannot be resolved: correct it, or enter it in DNS or /etc/hosts`,
  'peer-silent': (what: string, url: string, flag: string, why: string) =>
    `no ${what} answers at ${url} (${why}): start it, let this machine through its firewall, or correct ${flag}`,
  'told-loopback': (host: string, flag: string, address: string) =>
    `${host} of ${flag} resolves to ${address} on this machine, where nobody else reaches us: take the line out of /etc/hosts, or name another address with ${flag}`,
  'clock-wrong': (off: number, url: string) =>
    `the clock of this machine differs by ${seconds(off)} from that of ${url}: certificates and leases fail, so set it and keep it right with chrony or systemd-timesyncd`,
  'directory-readonly': (path: string, flag: string, why: string) =>
    `${path} cannot be written to (${why}): give it to the user who runs km, or name another directory with ${flag}`,
  'disk-full': (path: string, free: number, flag: string) =>
    `only ${megabytes(free)} are free at ${path}: free at least 1 GB, or name another directory with ${flag}`,
  'file-unreadable': (path: string, flag: string, why: string) =>
    `${flag} names ${path}, which cannot be read (${why}): correct the name, or let the user who runs km read it`,
  'cgroup-missing': (controllers: string) =>
    `the kernel gives no cgroup controller for ${controllers}, so pods would have no limits: mount cgroups at /sys/fs/cgroup, and enable what is missing`,
  'kernel-rules': (mode: string, why: string) =>
    `this kernel does not take the rules of the ${mode} proxy (${why}): load its modules, or choose another mode of the proxy`,
};

const warnings = {
  'program-useful': (name: string, why: string, from: string) =>
    `there is no ${name} on PATH (${why}): install it if you can, on Debian and Ubuntu with apt-get install ${from}`,
  'peer-down': (what: string, url: string, flag: string, why: string) =>
    `one ${what} of several does not answer, ${url} (${why}): start it, or take it out of ${flag}`,
  'no-leader': (spec: string, flag: string) =>
    `no Mesos master leads at ${spec} of ${flag}: start masters, and look at their election and the path in ZooKeeper`,
  'hostname-loopback': (name: string, address: string) =>
    `the name of this machine, ${name}, resolves to ${address}: nothing that other machines are to reach may go by that name, so give it the machine's own address in /etc/hosts`,
  'hostname-unknown': (name: string) =>
    `the name of this machine, ${name}, cannot be resolved: enter it in DNS or /etc/hosts with the machine's own address`,
  'clock-skew': (off: number, url: string) =>
    `the clock of this machine differs by ${seconds(off)} from that of ${url}: keep it right with chrony or systemd-timesyncd`,
  'disk-low': (path: string, free: number, flag: string) =>
    `${megabytes(free)} are free at ${path}: free some more, or name another directory with ${flag}`,
  'file-exposed': (path: string, flag: string) =>
    `every user of this machine can read the secrets in ${path} (${flag}): chmod 600 ${path}`,
  'forwarding-off': (path: string) =>
    `this machine forwards no packets, so Services do not lead to pods of other machines: sysctl -w ${path}=1`,
  'bridge-unfiltered': () =>
    'packets between pods on one bridge pass the rules of Services by: modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1',
  proxied: (url: string, flag: string, proxy: string, variable: string) =>
    `programs other than km that honour ${variable} would go through ${proxy} to ${url} (${flag}): set NO_PROXY as shown`,
};

export type Code = keyof typeof errors | keyof typeof warnings;
export const codes = [...Object.keys(errors), ...Object.keys(warnings)] as readonly Code[];

/** `error['port-taken'](…)`: the finding. */
export const error = findings('error', errors);
export const warning = findings('warning', warnings);

function findings<S extends Record<string, (...args: never[]) => string>>(
  level: Finding['level'],
  sentences: S,
): { [K in keyof S]: (...args: Parameters<S[K]>) => Finding } {
  const entries = Object.entries(sentences).map(([code, sentence]) => [
    code,
    (...args: never[]) => ({ code, level, message: sentence(...args) }),
  ]);
  return Object.fromEntries(entries) as { [K in keyof S]: (...args: Parameters<S[K]>) => Finding };
}
