import { expect, test } from '@jest/globals';
import { age, humanDuration } from '../../api/age.ts';
import { Pod, type ContainerStatus, type PodStatus } from '../../api/kinds/pod.ts';
import { qosClass } from '../../api/qos-class.ts';
import { podColumns } from '../../api/pod-columns.ts';
import { pullPolicyOf } from '../../api/pod-spec-defaults.ts';

const status = (name: string, part: Partial<ContainerStatus>): ContainerStatus => ({
  name,
  state: {},
  lastState: {},
  ready: false,
  restartCount: 0,
  image: 'i',
  imageID: '',
  ...part,
});
const now = Date.parse('2026-01-01T01:00:00Z');
function row(part: PodStatus, extra: Partial<Pod['spec']> = {}, metadata = {}): unknown[] {
  const pod: Pod = {
    metadata: { name: 'p', ...metadata },
    spec: { containers: [{ name: 'a' }, { name: 'b' }], ...extra },
    status: part,
  };
  return podColumns.slice(1, 4).map((column) => column.value(pod, now));
}

test('shows what kubectl get pods shows', () => {
  const running = [
    status('a', { ready: true, state: { running: {} } }),
    status('b', { ready: true, state: { running: {} } }),
  ];
  expect(row({ phase: 'Running', containerStatuses: running })).toEqual(['2/2', 'Running', '0']);
  const crash = [
    status('a', {
      restartCount: 3,
      state: { waiting: { reason: 'CrashLoopBackOff' } },
      lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T00:59:00Z' } },
    }),
  ];
  expect(row({ phase: 'Running', containerStatuses: crash })).toEqual(['0/2', 'CrashLoopBackOff', '3 (60s ago)']);
  expect(row({ phase: 'Running', containerStatuses: running }, {}, { deletionTimestamp: 'x' })[1]).toBe('Terminating');
  expect(row({ phase: 'Failed', reason: 'Evicted' })[1]).toBe('Evicted');
  expect(
    row({
      phase: 'Succeeded',
      containerStatuses: [status('a', { state: { terminated: { exitCode: 0, reason: 'Completed' } } })],
    })[1],
  ).toBe('Completed');
  expect(
    row({ phase: 'Failed', containerStatuses: [status('a', { state: { terminated: { exitCode: 3 } } })] })[1],
  ).toBe('ExitCode:3');
});

test('shows how far init containers are', () => {
  const spec = { initContainers: [{ name: 'i1' }, { name: 'i2' }] };
  const done = status('i1', { state: { terminated: { exitCode: 0 } } });
  expect(
    row({ phase: 'Pending', initContainerStatuses: [done, status('i2', { state: { running: {} } })] }, spec)[1],
  ).toBe('Init:1/2');
  expect(
    row(
      {
        phase: 'Pending',
        initContainerStatuses: [status('i1', { state: { terminated: { exitCode: 2, reason: 'Error' } } })],
      },
      spec,
    )[1],
  ).toBe('Init:Error');
});

test('spans of time read as kubectl writes them', () => {
  const s = 1000;
  const cases: [number, string][] = [
    [5 * s, '5s'],
    [119 * s, '119s'],
    [125 * s, '2m5s'],
    [15 * 60 * s, '15m'],
    [3600 * 5 * s + 60 * s, '5h1m'],
    [3600 * 30 * s, '30h'],
    [86400 * 3 * s, '3d'],
    [86400 * 800 * s, '2y70d'],
  ];
  for (const [ms, text] of cases) expect(humanDuration(ms)).toBe(text);
  expect(age(undefined, 0)).toBe('<unknown>');
});

test('the pull policy follows the tag', () => {
  expect(pullPolicyOf('nginx')).toBe('Always');
  expect(pullPolicyOf('nginx:latest')).toBe('Always');
  expect(pullPolicyOf('host:5000/nginx:1.2')).toBe('IfNotPresent');
  expect(pullPolicyOf('host:5000/nginx')).toBe('Always');
  expect(pullPolicyOf('nginx@sha256:abc')).toBe('IfNotPresent');
});

test('the quality of service follows requests and limits', () => {
  const spec = (resources: object) => ({ containers: [{ name: 'a', resources }] });
  expect(qosClass(spec({}))).toBe('BestEffort');
  expect(qosClass(spec({ requests: { cpu: '1' } }))).toBe('Burstable');
  expect(qosClass(spec({ limits: { cpu: '1', memory: '1Gi' } }))).toBe('Guaranteed');
});
