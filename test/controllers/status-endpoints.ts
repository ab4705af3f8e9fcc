import { expect } from '@jest/globals';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { isConflict } from '../../api/status.ts';
import type { Client } from '../../client/client.ts';

interface WithConditions extends KubeObject {
  spec?: object;
  status?: { conditions?: { type: string }[] };
}

const told = ({ status }: WithConditions): string[] => (status?.conditions ?? []).map(({ type }) => type);
const condition = (type: string) => ({
  type,
  status: 'True',
  reason: 'E2E',
  message: 'Set by a test',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

/** What every status endpoint promises: it is read, updated and patched by itself, and watchers hear of both. */
export async function statusEndpoints<T extends WithConditions>(
  client: Client,
  kind: Kind<T>,
  ref: { namespace: string; name: string },
  otherSpec: object,
): Promise<void> {
  const { generation } = (await client.get(kind, ref)).metadata;
  const path = `/apis/${kind.group}/${kind.version}/namespaces/${ref.namespace}/${kind.plural}/${ref.name}/status`;
  expect((await client.raw<T>('GET', path)).metadata.name).toBe(ref.name);
  const heard = await conditionsHeard(client, kind, ref, ['StatusUpdate', 'StatusPatched'], async () => {
    // Its controller writes the status, too: whoever comes second tries again.
    while (!(await updateStatus(client, kind, ref, path, otherSpec)));
    const status = { conditions: [condition('StatusPatched')] };
    expect(told(await client.patch(kind, ref, { status }, { subresource: 'status' }))).toContain('StatusPatched');
  });
  expect([...heard]).toEqual(expect.arrayContaining(['StatusUpdate', 'StatusPatched']));
  expect((await client.get(kind, ref)).metadata.generation).toBe(generation);
}

/** Adds a condition, and another spec that this door does not take. */
async function updateStatus<T extends WithConditions>(
  client: Client,
  kind: Kind<T>,
  ref: { namespace: string; name: string },
  path: string,
  otherSpec: object,
): Promise<boolean> {
  const current = await client.get(kind, ref);
  const conditions = [...(current.status?.conditions ?? []), condition('StatusUpdate')];
  try {
    const updated = await client.raw<T>('PUT', path, {
      ...current,
      spec: { ...current.spec, ...otherSpec },
      status: { ...current.status, conditions },
    });
    expect(told(updated)).toEqual([...told(current), 'StatusUpdate']);
    return true;
  } catch (error) {
    if (!isConflict(error)) throw error;
    return false;
  }
}

async function conditionsHeard<T extends WithConditions>(
  client: Client,
  kind: Kind<T>,
  { namespace, name }: { namespace: string; name: string },
  wanted: string[],
  act: () => Promise<unknown>,
): Promise<Set<string>> {
  const over = new AbortController();
  const seen = new Set<string>();
  const { resourceVersion = '' } = (await client.list(kind, { namespace })).metadata;
  const options = { namespace, fieldSelector: `metadata.name=${name}`, resourceVersion };
  const watching = (async () => {
    for await (const event of client.watch(kind, options, over.signal)) {
      if (event.type === 'MODIFIED') for (const type of told(event.object)) seen.add(type);
      if (wanted.every((type) => seen.has(type))) return;
    }
  })();
  await act();
  await watching;
  over.abort();
  return seen;
}
