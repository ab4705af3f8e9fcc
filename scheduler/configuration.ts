/**
 * Which policies apply to which pods, as files say it: a KubeSchedulerConfiguration (kubescheduler.config.k8s.io), or the
 * Policy of kube-schedulers before 1.23.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse } from 'yaml';
import {
  check,
  checkArgs,
  configurationSchema,
  idleArgs,
  idleFields,
  policySchema,
  refuseExtenders,
} from './configuration-schema.ts';
import { everyNode } from './decide.ts';
import type { Plugin, Weighted } from './plugin.ts';
import type { PreemptionArgs } from './preemption.ts';
import { type MakePlugin, plugins } from './plugins/index.ts';
import { type Policy, fromPolicy } from './policy.ts';
import { defaultProfile, part } from './profile.ts';

/** What pods of one schedulerName are placed by. */
export interface Profile {
  schedulerName: string;
  plugins: readonly Weighted[];
  /** See Search. */
  percentageOfNodesToScore: number;
  /** Whether pods may displace others of lower priority. */
  preempts: boolean;
  preemption?: PreemptionArgs;
  /** What the file asks for to no effect. */
  warnings?: readonly string[];
}

export interface Configuration {
  kind: 'KubeSchedulerConfiguration';
  percentageOfNodesToScore?: number;
  profiles?: ProfileConfiguration[];
}

export interface ProfileConfiguration {
  schedulerName?: string;
  percentageOfNodesToScore?: number;
  plugins?: Partial<Record<string, PluginSet>>;
  pluginConfig?: { name: string; args?: object }[];
}

export interface PluginSet {
  enabled?: { name: string; weight?: number }[];
  /** `*` is all. */
  disabled?: { name: string }[];
}

/** A module of the user's own: its default export is a policy, or makes one from its args. */
export type Load = (path: string) => Promise<MakePlugin>;

/** Reads a file in YAML or JSON. Throws an Error that names the file and what is wrong in it. */
export async function readConfiguration(path: string): Promise<Profile[]> {
  const load: Load = async (module) => {
    const { default: given } = (await import(pathToFileURL(resolve(dirname(path), module)).href)) as {
      default?: Plugin | MakePlugin;
    };
    if (typeof given === 'function') return given;
    if (given?.filter || given?.score) return () => given;
    throw new Error(
      `${module}: the default export must be a policy ({ name, filter, score }) or a function that makes one`,
    );
  };
  try {
    return await profilesOf(parse(await readFile(path, 'utf8')), load);
  } catch (error) {
    throw new Error(`the scheduler's configuration ${path}: ${(error as Error).message}`, { cause: error });
  }
}

export async function profilesOf(given: unknown, load: Load): Promise<Profile[]> {
  // What is null is not there, as for Kubernetes.
  const file = JSON.parse(JSON.stringify(given ?? {}), (_name, value: unknown) => value ?? undefined) as {
    kind?: string;
    extenders?: unknown;
  };
  const { kind } = file;
  if (kind !== 'Policy' && kind !== 'KubeSchedulerConfiguration')
    throw new Error(`expected kind KubeSchedulerConfiguration or Policy, got ${JSON.stringify(kind)}`);
  check(file, kind === 'Policy' ? policySchema : configurationSchema);
  refuseExtenders(file);
  if (kind === 'Policy') return [fromPolicy(file as Policy)];
  const { profiles = [{}], percentageOfNodesToScore = everyNode } = file as Configuration;
  const made: Profile[] = [];
  for (const [i, one] of profiles.entries()) {
    const { schedulerName = 'default-scheduler', plugins: sets = {}, pluginConfig = [] } = one;
    if (made.some((other) => other.schedulerName === schedulerName))
      throw new Error(`two profiles are for schedulerName "${schedulerName}"`);
    const warnings =
      i === 0 ? idleFields.filter((field) => field in file).map((field) => `${field} does nothing here`) : [];
    checkNames(sets);
    for (const [j, { name, args = {} }] of pluginConfig.entries()) {
      if (isPath(name)) continue;
      checkName(name);
      checkArgs(name, args, `profiles[${i}].pluginConfig[${j}].args`);
      if (idleArgs.has(name)) warnings.push(`the args of ${name} do nothing here`);
    }
    made.push({
      schedulerName,
      plugins: await pluginsOf(one, load),
      percentageOfNodesToScore: one.percentageOfNodesToScore ?? percentageOfNodesToScore,
      preempts: preempts(sets),
      preemption: pluginConfig.find(({ name }) => name === 'DefaultPreemption')?.args ?? {},
      warnings,
    });
  }
  return made;
}

type PluginSets = NonNullable<ProfileConfiguration['plugins']>;

function preempts({ multiPoint, postFilter }: PluginSets): boolean {
  const name = 'DefaultPreemption';
  const isEnabled = (set: PluginSet | undefined) => (set?.enabled ?? []).some((one) => one.name === name);
  if (isEnabled(postFilter) || isDisabled(postFilter, name)) return isEnabled(postFilter);
  return isEnabled(multiPoint) || !isDisabled(multiPoint, name);
}

function checkNames(sets: PluginSets): void {
  for (const { name } of Object.values(sets).flatMap((set) => set?.enabled ?? [])) if (!isPath(name)) checkName(name);
}

function checkName(name: string): void {
  if (!plugins.has(name) && !elsewhere.has(name))
    throw new Error(`there is no policy "${name}"; there are ${[...plugins.keys()].join(', ')}`);
}

interface Choice {
  name: string;
  weight: number;
  filters: boolean;
  scores: boolean;
}

const isDisabled = (set: PluginSet | undefined, name: string): boolean =>
  (set?.disabled ?? []).some((one) => one.name === name || one.name === '*');

/** Points that a policy here has no part in of its own: what they name is done by the scheduler or the framework. */
const elsewhere = new Set(['PrioritySort', 'SchedulingGates', 'DefaultPreemption', 'DefaultBinder']);

async function pluginsOf(
  { plugins: sets = {}, pluginConfig = [] }: ProfileConfiguration,
  load: Load,
): Promise<Weighted[]> {
  const choices = chosen(sets);
  const args = new Map(pluginConfig.map((one) => [one.name, one.args]));
  const made: Weighted[] = [];
  for (const { name, weight, filters, scores } of choices) {
    if (elsewhere.has(name)) continue;
    const make = plugins.get(name) ?? (await load(name));
    made.push({ plugin: part(make(args.get(name)), filters, scores), weight: scores ? weight : 0 });
  }
  return made.filter(({ plugin }) => plugin.filter !== undefined || plugin.score !== undefined);
}

const isPath = (name: string): boolean => /^\.{0,2}\//.test(name);

/** What stays of the default policies and what is added, in order. */
function chosen(sets: PluginSets): Choice[] {
  const of = (...points: string[]) => points.flatMap((point) => sets[point] ?? []);
  const choices = new Map<string, Choice>();
  const usual = new Map(defaultProfile.map(({ plugin, weight }) => [plugin.name, weight]));
  for (const [name, weight] of usual)
    if (!of('multiPoint').some((set) => isDisabled(set, name)))
      choices.set(name, { name, weight, filters: true, scores: true });
  for (const choice of choices.values()) {
    if (of('filter', 'preFilter').some((set) => isDisabled(set, choice.name))) choice.filters = false;
    if (of('score', 'preScore').some((set) => isDisabled(set, choice.name))) choice.scores = false;
  }
  const enable = (points: string[], more: Partial<Choice>) => {
    for (const { name, weight } of of(...points).flatMap(({ enabled = [] }) => enabled)) {
      const known = choices.get(name) ?? { name, weight: usual.get(name) ?? 1, filters: false, scores: false };
      choices.set(name, { ...known, ...more, weight: weight ?? known.weight });
    }
  };
  enable(['multiPoint'], { filters: true, scores: true });
  enable(['filter', 'preFilter'], { filters: true });
  enable(['score', 'preScore'], { scores: true });
  return [...choices.values()].filter(({ filters, scores }) => filters || scores);
}
