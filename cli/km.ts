#!/usr/bin/env node
/**
 * km: one program for every server. The only place that knows all rooms and joins them.
 *
 *   km <command> [--flag value …]        every flag has a KM_ variable: --mesos-master, KM_MESOS_MASTER
 *   a symlink named after a command (km-apiserver, apiserver) runs it
 */
import { basename } from 'node:path';
import { build } from '../lib/build.ts';
import { keepCompiledCode, writeCompiledCode } from '../lib/compile-cache.ts';
import { createLog } from '../lib/log.ts';
import { describeOptions, readOptions } from '../lib/options.ts';
import { type Component, type Loaded, common, components } from './components.ts';
import { shownSecrets } from './shown-secrets.ts';

async function main(): Promise<number> {
  keepCompiledCode(process.env);
  const { command, rest } = commandOf(process.argv);
  if (command === undefined || command === 'help' || command === '--help' || command === '-h') return say(usage());
  if (command === 'version' || command === '--version')
    return say(`km ${build.version}${build.commit && ` ${build.commit}`} (Kubernetes v1.36, Mesos v1 API)`);
  const component = components.find(({ name }) => name === command);
  if (!component) return fail(`there is no command "${command}"\n\n${usage()}`);
  const loaded = await component.load();
  if (rest.includes('--help') || rest.includes('-h')) return say(help(component, loaded));
  return run(component.name, loaded, rest);
}

/** The command is the first argument, or the first two (`pki init`), or the name under which the program was called. */
function commandOf([, script = '', ...args]: readonly string[]): {
  command: string | undefined;
  rest: readonly string[];
} {
  const called = basename(script)
    .replace(/^km-/, '')
    .replace(/\.[tj]s$/, '');
  if (components.some(({ name }) => name === called)) return { command: called, rest: args };
  const both = args.slice(0, 2).join(' ');
  if (components.some(({ name }) => name === both)) return { command: both, rest: args.slice(2) };
  return { command: args[0], rest: args.slice(1) };
}

async function run(name: string, component: Loaded, all: readonly string[]): Promise<number> {
  const stopping = new AbortController();
  const [args = [], ...commands] = parts(all);
  let options;
  try {
    if (commands.length > 0 && !component.takesCommands) throw new Error('unexpected argument "--"');
    options = readOptions({ ...component.options, ...common }, args, process.env);
  } catch (error) {
    return fail(`${(error as Error).message}\nkm ${name} --help lists the options`);
  }
  const log = createLog({ level: options.logLevel as string, pretty: options.logPretty as boolean });
  for (const flag of shownSecrets(args))
    log.warn(
      { flag },
      'a secret among the arguments can be read by whoever lists processes: give it by KM_… or in a file',
    );
  const stop = (why: string) => () => {
    if (stopping.signal.aborted) return;
    log.debug({ why }, 'stopping');
    stopping.abort();
  };
  process.on('SIGTERM', stop('SIGTERM'));
  process.on('SIGINT', stop('SIGINT'));
  // Started by `km up`: it waits for our word, and when it is gone we go too.
  process.on('disconnect', stop('the parent is gone'));
  const ready = () => {
    process.send?.('ready');
    writeCompiledCode();
  };
  try {
    await component.run(options, { log, signal: stopping.signal, env: process.env, ready, commands });
    return 0;
  } catch (error) {
    if (stopping.signal.aborted) return 0;
    log.debug({ err: error }, 'ended with an error');
    return fail(sentenceOf(error as NodeJS.ErrnoException));
  }
}

const whyNotOpened: Readonly<Record<string, string>> = {
  ENOENT: 'there is none',
  EACCES: 'we may not; who may is told by ls -l',
  ENOTDIR: 'what is named as its directory is none',
};

/** Of a file that cannot be opened, with its name and why. */
function sentenceOf({ code = '', path, message }: NodeJS.ErrnoException): string {
  const why = whyNotOpened[code];
  return path && why ? `cannot open the file ${path}: ${why}` : message;
}

/** What lies between each `--` and the next. */
function parts(args: readonly string[]): (readonly string[])[] {
  const at = args.indexOf('--');
  return at < 0 ? [args] : [args.slice(0, at), ...parts(args.slice(at + 1))];
}

const usage = (): string =>
  [
    'km: Kubernetes on Apache Mesos',
    '',
    'Usage: km <command> [options]',
    '',
    ...components.map(({ name, summary }) => `  ${name.padEnd(20)} ${summary}`),
    '',
    'km <command> --help lists its options; each has a twin in the environment (--log-level, KM_LOG_LEVEL).',
  ].join('\n');

const help = ({ name, summary }: Component, { options }: Loaded): string =>
  `km ${name}: ${summary}\n\nOptions:\n${describeOptions({ ...options, ...common })}`;

function say(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

function fail(text: string): number {
  process.stderr.write(`km: ${text}\n`);
  return 1;
}

// Whoever read what we say may have gone (`km up | head`): what we have started is still to be stopped in order.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
// Connections that are still open must not keep an ended server alive.
process.exit(await main());
