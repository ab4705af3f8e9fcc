import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { components } from '../../cli/components.ts';
import { flagName } from '../../lib/options.ts';

const pages = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/*.md')];
/** Flags of other programs: etcd, Mesos, kubectl, npm scripts. */
const foreign = new Set(
  [
    '--cacert --cert --key --endpoints --name --initial-cluster --initial-advertise-peer-urls --bump-revision --mark-compacted',
    '--data-dir --check --system --now --data --ignore-daemonsets --image --restart --command --replicas --hostname --ip',
    '--executor_registration_timeout --quorum --arch --list --testPathPatterns --help --log-level --log-pretty',
    '--credentials --authenticate_http_executors --rate_limits --image_providers --kube-subnet-mgr --iface --public-ip --build --rm',
    '--sse --group --marathon --auth-credentials --haproxy-config --verb --non-resource-url --clusterrole --serviceaccount --namespace --duration',
    '--certificate-authority --embed-certs',
  ].flatMap((line) => line.split(' ')),
);

async function flagsOfKm(): Promise<Set<string>> {
  const loaded = await Promise.all(components.map(({ load }) => load()));
  return new Set(loaded.flatMap(({ options }) => Object.keys(options).map(flagName)));
}

describe.each(pages)('%s', (page) => {
  const text = readFileSync(page, 'utf8');

  test('names flags that there are', async () => {
    const known = await flagsOfKm();
    // What the first km called its flags stands in the first column.
    const ours = page.endsWith('migration.md')
      ? text.replace(/^\|[^|]*\|/gm, '').replace(/`--host-port-endpoints`/g, '')
      : text;
    const flags = [...ours.matchAll(/(?<![\w-])--[a-z][\w-]*/gi)].map(([flag]) => flag);
    expect([...new Set(flags)].filter((flag) => !known.has(flag) && !foreign.has(flag))).toEqual([]);
  });

  test('links to files that there are', () => {
    const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, target]) => join(dirname(page), target!));
    expect(targets.filter((target) => !existsSync(target))).toEqual([]);
  });

  test('names files of this repository that there are', () => {
    const paths = [
      ...text.matchAll(
        /`((?:api|apiserver|cli|client|controllers|devcluster|dns|docs|executor|framework|lib|mesos|proxy|scheduler|test|bench)\/[\w./-]*)`/g,
      ),
    ];
    expect(paths.map(([, path]) => path!).filter((path) => !existsSync(path))).toEqual([]);
  });
});
