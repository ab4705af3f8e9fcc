import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startControllers } from '../controllers/harness.ts';
import { isWatch, makeNodes, Replay, settle, valueOfAnswer, type Replayed } from './trace-replay.ts';
import { leaves, readTrace, type Exchange } from './trace.ts';

/** Requests that are not compared, by command and path: what they meet depends on the moment, or 1.36 does it otherwise. */
const notCompared: { request: RegExp; method?: string; why: string }[] = [
  {
    request: /componentstatuses/,
    why: 'the recorded server asked a scheduler and a controller manager on fixed ports',
  },
  {
    request: /events|rollout .*(status|history)|cluster-info dump/,
    method: 'GET',
    why: 'a moment in the life of objects',
  },
  {
    request: /\bdelete|replace --force|--rm/,
    method: 'GET',
    why: 'waits until objects are gone; ours may be gone sooner',
  },
  { request: /delete .*( rs -l | cm --all)/, method: 'DELETE', why: 'which objects there are depends on the moment' },
  { request: /v1beta1/, why: 'versions of 1.23 that are gone' },
  { request: /priorityclass/, why: 'recorded on a server that had it from another kubectl' },
  { request: / top |auth whoami/, why: '1.36 serves SelfSubjectReviews; metrics come from an addon' },
  { request: / logs |drain|port-forward|describe -n trace pods/, why: 'which pods there are depends on the moment' },
  { request: /\/apis\/example.com\/v1\?/, why: 'verbs of discovery in another order' },
];

/** Members that differ (`-` only there, `+` only here), and why that is right. */
const mayDiffer: { path: RegExp; why: string }[] = [
  { path: /columnDefinitions\[.*\]\.description /, why: 'words of our own' },
  { path: /columnDefinitions\[(Timezone|Status)\]/, why: 'columns of CronJob and Job since 1.27 and 1.30' },
  { path: /cells\[2\] = "<unknown>\/80%"/, why: '1.31 and later name the metric' },
  { path: /creationTimestamp = null/, why: '1.34 and later leave out times that are not set' },
  {
    path: /\.(lastProbeTime = null|(lastState|requests|limits|resources|strategy|conditions\[\d\]) = \{\})/,
    why: 'empty structs of Go; a body cut off',
  },
  {
    path: /^- (spec|status|metadata|spec\.selector|spec\.strategy) = \{\}/,
    why: 'empty structs of Go; a body cut off',
  },
  {
    path: /^\+ items\[[^\]]*\]\.(kind|apiVersion) /,
    why: 'items of lists say their kind: the same bytes serve get, list and watch',
  },
  { path: /managedFields\[(km|kube-|unknown|Go-http)/, why: 'what is not kubectl has other names' },
  {
    path: /managedFields\[(kubectl\S* Update (scale|token|ephemeralcontainers)|ancient)/,
    why: '1.36 tracks subresources; an eleventh manager makes the oldest one',
  },
  {
    path: /^\+ .*f:spec\.f:(ipFamilies|ipFamilyPolicy|podReplacementPolicy) /,
    why: 'defaults that are one with their Service; of 1.36',
  },
  { path: /(^[-+] |\.)status\./, why: 'written by controllers and kubelets, a moment of their work' },
  {
    path: /tn-[ab]"|"NotReady"|web-GENERATED\]\.(spec\.replicas|metadata)|web-GENERATED\]\.cells/,
    why: 'which pod is where, which ReplicaSet is which',
  },
  {
    path: /^\+ (items\[[\w.-]+\]\.|rows\[[\w.-]+\]\.object\.)?metadata\.(generation|deletionGracePeriodSeconds) /,
    why: 'pods count generations since 1.33',
  },
  { path: /kube-root-ca\.crt|^\+ rows = \[\]/, why: 'published where the controllers know a CA' },
  { path: /batch\.kubernetes\.io|controller-uid|podReplacementPolicy/, why: 'labels and defaults of Jobs in 1.36' },
  {
    path: /last-change-trigger-time|cells\[3\] = "IP|endpoints\.kubernetes\.io\/managed-by/,
    why: 'the endpoint controllers of 1.36',
  },
  {
    path: /^\+ metadata\.(name|namespace|creationTimestamp) = .*("sa1"|"trace"|"TIME")/,
    why: 'a TokenRequest of 1.36 says whose it is',
  },
  {
    path: /managedFields\[kubectl-autoscale/,
    why: 'fields of a second version are owned in the stored one: docs/compatibility.md',
  },
  {
    path: /^- metadata\.managedFields\[kubectl[.\d]* Update\]|^\+ (metadata = \{\}|spec\.namespace = "trace")/,
    why: 'access reviews keep no managers, and show the namespace asked for',
  },
  {
    path: /spec\.taints\[node\.kubernetes|managedFields\[kubectl-taint/,
    why: 'taints of the node lifecycle controller',
  },
  {
    path: /EphemeralContainers|containers\[web\]\.image|deployment\.kubernetes\.io\/revision/,
    why: 'which ReplicaSet is which; an older form of debug',
  },
  {
    path: /cells\[1\] = "IP:80|kube-api-access-GENERATED|boundObjectRef = null|jobTemplate\.spec\.template\.metadata = |f:template\.f:spec = |matchLabels = /,
    why: 'how many pods at the moment; empty structs of Go; a body cut off',
  },
];

describe.each(['1.20', '1.27', '1.33'])('what kubectl %s asked of kube-apiserver 1.23', (version) => {
  const dir = mkdtempSync(join(tmpdir(), 'km-trace-'));
  let cluster: Awaited<ReturnType<typeof startControllers>>;
  let replay: Replay;
  beforeAll(async () => {
    const key = join(dir, 'sa.key');
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    cluster = await startControllers(
      {},
      {
        disableAdmissionPlugins: [],
        serviceAccountSigningKeyFile: key,
        serviceAccountIssuer: ['https://kubernetes.default.svc.cluster.local'],
      },
    );
    await makeNodes(cluster.server);
    replay = new Replay(cluster.server, version === '1.20' ? 'kubectl' : `kubectl.${version}`);
  });
  afterAll(async () => {
    await replay.close();
    await cluster.stop();
    rmSync(dir, { recursive: true });
  });

  test('is answered in the same way', async () => {
    const found: string[] = [];
    for (const recorded of readTrace(version)) {
      const ours = await replay.send(recorded);
      const isCompared = !notCompared.some(
        ({ request, method = recorded.method }) =>
          method === recorded.method && request.test(`${recorded.command} ${recorded.path}`),
      );
      if (isCompared)
        for (const line of differences(recorded, ours))
          found.push(`${recorded.command} | ${recorded.method} ${recorded.path}\n     ${line}`);
      if (recorded.method !== 'GET' && !recorded.path.includes('dryRun')) await settle(cluster.server, 'trace');
    }
    expect(found).toEqual([]);
  }, 120_000);
});

/** `-` what only the recorded server said, `+` what only ours does. */
function differences(recorded: Exchange, ours: Replayed): string[] {
  const { status, type, cut } = recorded;
  if (status !== ours.status)
    return [`status ${status}, ours ${ours.status} ${JSON.stringify(ours.value)?.slice(0, 300)}`];
  const lines: string[] = type === ours.type ? [] : [`type ${type}, ours ${ours.type}`];
  const value = valueOfAnswer(recorded);
  if (isWatch(recorded.path) || value === undefined) return lines;
  const [a, b] = [leaves(value), leaves(ours.value)];
  // Ours has one manager more, so the eleventh comes sooner: from then on the oldest ones are one.
  const isCapped = [...b.keys()].some((path) => path.includes('ancient-changes'));
  for (const [path, leaf] of a) if (b.get(path) !== leaf) lines.push(`- ${path} = ${leaf}, ours ${b.get(path)}`);
  if (!cut) for (const [path, leaf] of b) if (!a.has(path)) lines.push(`+ ${path} = ${leaf}`);
  return lines
    .filter((line) => !isCapped || !line.includes('managedFields'))
    .filter((line) => !mayDiffer.some(({ path }) => path.test(line)));
}
