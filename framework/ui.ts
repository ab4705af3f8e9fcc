import { readFileSync } from 'node:fs';
import { type Page, content } from '../client/door.ts';
import type { Pod } from '../api/kinds/pod.ts';
import { keyOf } from '../api/meta.ts';
import type { Agent } from './agents.ts';
import type { Figures } from './figures.ts';
import { amountsOf } from './resources.ts';
import type { State } from './state.ts';

/** What the page shows; cpu in thousandths of a core, memory in bytes. */
export interface UiState {
  framework: string;
  subscribed: boolean;
  nodes: UiNode[];
  waiting: { pod: string; why: string }[];
  /** The last first. */
  launches: { at: number; pod: string; agent: string; said?: string; ms?: number }[];
}

interface UiNode {
  name: string;
  /** Why nothing can be placed there. */
  why?: string;
  attributes: string[];
  cpu: Share;
  memory: Share;
  pods: { name: string; phase: string; cpu: number; memory: number }[];
}

/** Of an agent's total: what our pods and executor have, and what is offered to us; the rest is others', or not offered. */
interface Share {
  total: number;
  pods: number;
  executor: number;
  offered: number;
}

/** Milliseconds between two looks at whether something has changed, while somebody looks. */
const interval = 1_000;
const mostViewers = 50;

/** The page of the framework, https://…/ui/, and what it is told over and over. */
export function uiPages(name: string, state: State, figures: Figures): Readonly<Record<string, Page>> {
  const viewers = new Set<(value: string) => void>();
  let timer: NodeJS.Timeout | undefined;
  let last = '';
  const look = () => {
    const now = JSON.stringify(uiState(name, state, figures));
    if (now === last) return;
    last = now;
    for (const tell of viewers) tell(now);
  };
  const file = (path: string, type: string): Page => {
    const bytes = readFileSync(new URL(`./ui/${path}`, import.meta.url));
    return { method: 'GET', answer: () => content(type, bytes) };
  };
  return {
    '/ui/': file('index.html', 'text/html; charset=utf-8'),
    '/ui/style.css': file('style.css', 'text/css; charset=utf-8'),
    '/ui/page.js': file('page.js', 'text/javascript; charset=utf-8'),
    '/ui/state': {
      method: 'GET',
      most: mostViewers,
      follow(tell) {
        viewers.add(tell);
        look();
        tell(last);
        timer ??= setInterval(look, interval);
        return () => {
          viewers.delete(tell);
          if (viewers.size > 0) return;
          clearInterval(timer);
          timer = undefined;
        };
      },
    },
  };
}

/** Exported for its test. */
export const uiState = (framework: string, state: State, figures: Figures): UiState => ({
  framework,
  subscribed: figures.subscribed,
  nodes: state.agents.map((agent) => uiNode(agent, state)).sort((a, b) => (a.name < b.name ? -1 : 1)),
  waiting: state.waiting.map((pod) => ({ pod: keyOf(pod), why: whyOf(pod) })),
  launches: figures.launches().map((launch) => ({ ...launch, agent: state.agent(launch.agent)?.name ?? launch.agent })),
});

function uiNode(agent: Agent, state: State): UiNode {
  const { name, facts, allocatable, reachable, executor } = agent;
  const places = [...agent.places()];
  const total = amountsOf(facts.total ?? []);
  const pods = [...agent.pods.values()].map((pod) => {
    const needs = Object.fromEntries(state.seats.needs(pod).map(({ resource, amount }) => [resource, amount]));
    return {
      name: keyOf(pod),
      phase: pod.status?.phase ?? 'Pending',
      cpu: needs['cpu'] ?? 0,
      memory: needs['memory'] ?? 0,
    };
  });
  const share = (resource: 'cpu' | 'memory'): Share => ({
    total: total[resource] ?? 0,
    pods: pods.reduce((sum, pod) => sum + pod[resource], 0),
    executor: executor ? (total[resource] ?? 0) - (allocatable[resource] ?? 0) : 0,
    offered: places.reduce((sum, { free }) => sum + (free[resource] ?? 0), 0),
  });
  return {
    name,
    ...(reachable ? {} : { why: 'its Mesos agent cannot be reached' }),
    attributes: facts.attributes.map(
      ({ name: attribute, text, scalar }) => `${attribute}: ${text?.value ?? scalar?.value ?? ''}`,
    ),
    cpu: share('cpu'),
    memory: share('memory'),
    pods: pods.sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

const whyOf = ({ status }: Pod): string =>
  status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message || 'waits for its turn';
