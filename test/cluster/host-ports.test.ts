import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { deploymentOf, sayingItsName, serviceOf } from './manifests.ts';
import { type Place, places } from './places.ts';

// The network mode of plain Mesos agents: ports come from offers, and Services lead to them.

const ports = [{ name: 'http', containerPort: 8080 }];
const fieldRef = { fieldPath: "metadata.annotations['k8s.mesosphere.io/port_TCP_8080']" };
const env = [{ name: 'HOST_PORT', valueFrom: { fieldRef } }];
const deployment = (port: string) => deploymentOf('web', 2, { ...sayingItsName(port), ports, env });
const service = serviceOf('web', { port: 80, targetPort: 'http' });

/** Where the container has its own network it listens on its own port, elsewhere on the one it was given. */
const listening: Record<string, string> = { process: '$HOST_PORT', docker: '8080' };

describe.each(places.filter(([name]) => listening[name]))('ports of the host: %s', (name, start) => {
  let place: Place;
  beforeAll(async () => {
    const flags = { scheduler: ['--port-mapping', 'wildcard'], 'controller-manager': ['--host-port-endpoints'] };
    place = await start({ flags, proxy: 'userspace' });
  }, 90_000);
  afterAll(async () => {
    await place?.cluster.kubectl.try('delete', 'deployments', '--all', '--timeout=30s');
    await place?.stop();
  }, 90_000);

  test('two pods with one container port have two of Mesos, and both answer for their Service', async () => {
    const { kubectl } = place.cluster;
    for (const object of [deployment(listening[name] ?? ''), service])
      await kubectl.feed(JSON.stringify(object), 'create', '-f', '-');
    await kubectl.run('rollout', 'status', 'deployment/web', '--timeout=60s');

    const noted = `{range .items[*]}{.status.hostIP}:{.metadata.annotations.k8s\\.mesosphere\\.io/port_TCP_8080}{"\\n"}{end}`;
    const addresses = (await kubectl.run('get', 'pods', '-o', `jsonpath=${noted}`)).trim().split('\n').sort();
    expect(new Set(addresses).size).toBe(2);
    for (const address of addresses) expect(address).toMatch(/^127\.0\.0\.1:\d{5}$/);
    const shown = `{range .subsets[*]}{.addresses[0].ip}:{.ports[0].port}{"\\n"}{end}`;
    await eventually(async () => {
      const ends = await kubectl.run('get', 'endpoints', 'web', '-o', `jsonpath=${shown}`);
      expect(ends.trim().split('\n').sort()).toEqual(addresses);
    });

    const ip = await kubectl.run('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}');
    const heard = new Set<string>();
    await eventually(async () => {
      const answer = await fetch(`http://${ip}/`, { headers: { connection: 'close' } }).then((response) =>
        response.text(),
      );
      heard.add(answer.trim());
      expect(heard.size).toBe(2);
    }, 20_000);
    for (const one of heard) expect(one).toMatch(/^web-/);
  }, 120_000);
});
