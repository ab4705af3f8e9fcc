/** `km pki init`, `km pki renew`, `km pki rotate`, `km pki check` and `km kubeconfig`. */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readKubeconfig } from '../../client/kubeconfig.ts';
import { issue } from '../../lib/certs.ts';
import { type Values, duration, list, oneOf, text } from '../../lib/options.ts';
import { filesOf, hostsIn, makeSecret, readCertificate, readPair } from './files.ts';
import { kubeconfigOf } from './kubeconfig.ts';
import {
  type Pki,
  authorities,
  day,
  ensurePki,
  holders,
  readAuthority,
  servingHosts,
  withKubeconfig,
  writeKubeconfigs,
} from './pki.ts';
import { dropOld, nextStep, sentenceOf, signByNext, steps, trustNext } from './rotation.ts';

const dir = text('Where the files are', '/etc/km/pki', '<directory>');
const within = duration('How long a certificate has to last', 30 * day);
const server = text('URL of the apiserver', '', '<url>');

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const initOptions = {
  dir,
  server,
  hosts: list('Names and addresses of the apiserver, beside that of its URL', [], '<name,address>'),
  serviceCidr: text('Addresses of Services', '10.96.0.0/12', '<cidr>'),
} as const;

/** Makes what is missing: again, it changes nothing. */
export const init = {
  options: initOptions,
  async run(o: Values<typeof initOptions>): Promise<void> {
    const host = new URL(urlOf(o.server)).hostname.replace(/^\[|\]$/g, '');
    const directory = resolve(o.dir);
    const pki = await ensurePki(directory, servingHosts([host, ...o.hosts], o.serviceCidr));
    writeKubeconfigs(directory, o.server, pki);
    tellMade(directory, pki);
  },
};

const renewOptions = { dir, within } as const;

/** New certificates, of the same CA and for the same names, for those that run out; and the kubeconfigs that hold them. */
export const renew = {
  options: renewOptions,
  async run(o: Values<typeof renewOptions>): Promise<void> {
    const directory = resolve(o.dir);
    readAuthority(directory);
    tellMade(directory, await renewIn(directory, o.within));
  },
};

/** Makes anew what runs out within the time or is of another CA than the one that signs, and the kubeconfigs. */
async function renewIn(directory: string, renewBefore: number): Promise<Pki> {
  const pki = await ensurePki(directory, [], { renewBefore });
  const one = withKubeconfig.map((name) => join(directory, `${name}.kubeconfig`)).find((path) => existsSync(path));
  if (one) writeKubeconfigs(directory, readKubeconfig(one).server, pki);
  return pki;
}

const rotateOptions = {
  dir,
  step: oneOf('What is done; docs/operations.md says what comes between the steps', ['show', ...steps], 'show'),
  ca: oneOf('Which CA', authorities, 'ca'),
} as const;

/** Replaces a CA, one step a call. */
export const rotate = {
  options: rotateOptions,
  async run(o: Values<typeof rotateOptions>): Promise<void> {
    const directory = resolve(o.dir);
    if (o.step === 'trust') await trustNext(directory, o.ca);
    if (o.step === 'renew') signByNext(directory, o.ca);
    if (o.step === 'drop') dropOld(directory, o.ca);
    if (o.step !== 'show') {
      const { made } = await renewIn(directory, 0);
      say(`written in ${directory}: ${[`${o.ca}.crt`, ...made, 'kubeconfigs'].join(', ')}`);
      say('servers read them when they start: start all of km again before the next step');
    }
    say(`${o.ca}: ${sentenceOf(nextStep(directory, o.ca))}`);
  },
};

function tellMade(directory: string, { made }: Pki): void {
  if (made.length === 0) return say(`nothing had to be made: all in ${directory} is good`);
  say(`made in ${directory}: ${made.join(', ')}`);
  say('servers read their certificates when they start: restart those concerned');
}

const checkOptions = { dir, within, output: oneOf('How it is told', ['text', 'json'], 'text') } as const;

interface Checked {
  name: string;
  /** Days that it still lasts; below 0 it has run out. */
  days: number;
  subject: string;
  hosts: string[];
  /** What is wrong, with what to do; '' when nothing is. */
  problem: string;
}

/** Rejects when something has run out, does so within the time, or cannot be used. */
export const check = {
  options: checkOptions,
  run(o: Values<typeof checkOptions>): Promise<void> {
    const directory = resolve(o.dir);
    readAuthority(directory);
    const names = [...authorities, ...Object.keys(holders)];
    const checked = names.map((name) => checkOne(directory, name, o.within));
    if (o.output === 'json') say(JSON.stringify(checked, null, 2));
    else
      for (const { name, days, problem } of checked)
        say(`${name.padEnd(20)} ${String(days).padStart(5)} days  ${problem}`);
    const bad = checked.filter(({ problem }) => problem !== '').map(({ name }) => name);
    if (bad.length > 0) return Promise.reject(new Error(`not in order: ${bad.join(', ')}`));
    return Promise.resolve();
  },
};

function checkOne(directory: string, name: string, lasting: number): Checked {
  const file = filesOf(directory, name).cert;
  if (!existsSync(file))
    return { name, days: 0, subject: '', hosts: [], problem: `is not there; ${toRenew(directory)}` };
  const certificate = readCertificate(file);
  const left = certificate.validToDate.getTime() - Date.now();
  const told = {
    name,
    days: Math.floor(left / day),
    subject: certificate.subject.replaceAll('\n', ','),
    hosts: hostsIn(certificate),
  };
  return { ...told, problem: problemOf(directory, name, certificate, left, lasting) };
}

const toRenew = (directory: string): string => `km pki renew --dir ${directory}`;

function problemOf(dir: string, name: string, certificate: X509Certificate, left: number, lasting: number): string {
  const toDo = certificate.ca
    ? `km pki rotate --dir ${dir} --ca ${name}: replace it in time, docs/operations.md says how`
    : `km pki renew --dir ${dir}`;
  if (left < 0) return `has run out; ${toDo}`;
  if (!readPair(dir, name)) return `its key is missing or another's; ${toDo}`;
  const issuer = certificate.ca ? name : (Object.entries(holders).find(([known]) => known === name)?.[1].by ?? 'ca');
  if (!certificate.verify(new X509Certificate(readAuthority(dir, issuer).cert).publicKey))
    return `another CA than ${issuer} signed it; ${toDo}`;
  return left < lasting ? `runs out soon; ${toDo}` : '';
}

const kubeconfigOptions = {
  dir,
  server,
  user: text('Name of the user', '', '<name>'),
  groups: list('Groups of the user', [], '<group,group>'),
  lifetime: duration('How long the credential is good', 365 * day),
  out: text('File to write, which may not be there yet; standard output unless set', '', '<file>'),
} as const;

/** A client certificate of the cluster's CA, in a kubeconfig. What the user may do, RBAC says. */
export const kubeconfig = {
  options: kubeconfigOptions,
  async run(o: Values<typeof kubeconfigOptions>): Promise<void> {
    if (o.user === '') throw new Error('--user is missing: name who is to use the kubeconfig');
    const authority = readAuthority(resolve(o.dir));
    const subject = { commonName: o.user, organizations: o.groups };
    const pair = await issue(authority, subject, Date.now(), o.lifetime);
    const config = kubeconfigOf(urlOf(o.server), authority.cert, o.user, pair);
    if (o.out === '') return void process.stdout.write(config);
    if (existsSync(o.out)) throw new Error(`${o.out} is there already: take it away, or name another file with --out`);
    makeSecret(o.out, config);
    say(`wrote ${o.out}, for ${o.user}`);
  },
};

function urlOf(text: string): string {
  if (!URL.canParse(text) || new URL(text).protocol !== 'https:')
    throw new Error(`--server: expected the URL of the apiserver, https://host:port, got "${text}"`);
  return text;
}
