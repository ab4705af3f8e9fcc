import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, jest, test as one } from '@jest/globals';
import { SignJWT } from 'jose';
import { delay } from '../../lib/delay.ts';
import { askAgent, askMaster } from '../../mesos/operator.ts';
import {
  agents,
  atEnd,
  cluster,
  endAll,
  untilCompleted,
  untilExecutors,
  untilHealthy,
  untilLeads,
} from './golden-cluster.ts';
import { listAt, parse, textAt } from './replay/json.ts';
import { golden } from './replay/recording.ts';
import { replay } from './replay/replay.ts';

// The recordings have the times of another machine: a replay that fell behind on a busy one is played again, from the start.
jest.retryTimes(2, { logErrorsBeforeRetry: true });

// A replay mostly waits, as the framework in the recording did, and has a devcluster of its own: they run side by side.
const test = one.concurrent;

afterAll(endAll);

describe('the devcluster answers as a real Mesos did', () => {
  test('to every error of the scheduler API', async () => {
    const devcluster = await cluster(1);
    const { faults } = devcluster;
    const { compared } = await replay({
      scenario: '02-errors',
      cluster: devcluster,
      onLine: (line) => {
        if (line === 319) faults.crashAgent(0);
        if (line === 320) faults.killMaster();
      },
    });
    expect(compared).toBeGreaterThan(120);
  });

  test.each(['12-accept-invalid-partition-aware', '12-accept-invalid-not-partition-aware'])(
    'to every invalid ACCEPT: %s',
    async (scenario) => {
      const { compared } = await replay({ scenario, cluster: await cluster(2) });
      expect(compared).toBeGreaterThan(150);
    },
  );

  test('to those who ask a master that does not lead', async () => {
    const devcluster = await cluster(1, {}, agents(1), { masters: 2 });
    const { masterUrl, masterUrls } = devcluster;
    const follower = masterUrls.find((url) => url !== masterUrl)!;
    const { compared } = await replay({
      scenario: '02-errors-not-leader',
      cluster: { ...devcluster, masterUrls, agents: devcluster.agents, masterUrl: follower },
      from: 28,
      to: 64,
      omit: (line) => line > 55 && line < 63,
      replace: { '127.0.0.1:6050': new URL(masterUrl).host },
    });
    expect(compared).toBe(15);
  });

  test('to a burst of calls, however low the limit of their rate', async () => {
    const devcluster = await cluster(0);
    const { compared } = await replay({
      scenario: '17-rate-limit',
      cluster: devcluster,
      onLine: (line) => (line === 26 ? devcluster.faults.killMaster() : undefined),
    });
    expect(compared).toBe(12);
  });

  test('to roles that are not on the list', async () => {
    const devcluster = await cluster(1, {}, agents(1), { roles: 'web,ops' });
    expect((await replay({ scenario: '02-errors-role-whitelist', cluster: devcluster })).compared).toBe(8);
  });

  test('to a framework in two roles, and to operators who set weights and quota of roles', async () => {
    const devcluster = await cluster(2);
    const weight_infos = [{ role: 'web', weight: 2 }];
    await askMaster({ url: devcluster.masterUrl }, { type: 'UPDATE_WEIGHTS', update_weights: { weight_infos } });
    const { compared } = await replay({ scenario: '14-roles-quota-weights', cluster: devcluster });
    expect(compared).toBeGreaterThan(60);
  }, 90_000);

  test.each(['json', 'protobuf'])(
    'with offers, filters, suppression and revival: %s',
    async (format) => {
      const devcluster = await cluster(2);
      const { faults } = devcluster;
      const { compared } = await replay({
        scenario: `03-decline-suppress-revive-rescind-${format}`,
        cluster: devcluster,
        onNote: async (text) => {
          if (text.startsWith('SIGTERM to agent 2')) faults.crashAgent(1);
          if (text.startsWith('agent 2 starts again')) await faults.restartAgent(1);
          if (text.startsWith('SIGUSR1 to agent 2')) faults.stopAgent(1);
        },
      });
      expect(compared).toBeGreaterThan(55);
    },
    60_000,
  );

  test('to two frameworks that answer no offer in time', async () => {
    const devcluster = await cluster(1, { offerTimeout: 1000, allocationInterval: 300 });
    expect((await replay({ scenario: '03-offer-timeout-two-frameworks', cluster: devcluster })).compared).toBe(13);
  });

  test('to an ACCEPT of two offers of one agent', async () => {
    const { compared } = await replay({ scenario: '12-accept-two-offers-of-one-agent', cluster: await cluster(1) });
    expect(compared).toBe(20);
  });

  test('to offer constraints, offer filters and changes of a framework', async () => {
    const resources = [
      'cpus:4;mem:4096;disk:8192;ports:[31000-31999]',
      'cpus:1;mem:256;disk:1024;ports:[32000-32999]',
      'cpus:0.005;mem:16;disk:10;ports:[33000-33010]',
    ];
    const attributes = ['rack:r1;gen:3', 'rack:r2', ''];
    const specs = resources.map((text, i) => ({ hostname: '127.0.0.1', resources: text, attributes: attributes[i] }));
    const devcluster = await cluster(3, {}, specs);
    const { compared } = await replay({ scenario: '19-update-framework-constraints', cluster: devcluster });
    expect(compared).toBe(70);
  }, 60_000);

  test('to a framework without MULTI_ROLE and RESERVATION_REFINEMENT: attributes, domains, sets, ranges', async () => {
    const resources = 'disk:8192;mem:2048';
    const specs = [
      {
        attributes: 'rack:r1;cores_ghz:2.75;ports_free:[1-5,7-9];os:linux',
        domain: 'eu/z1',
        resources: 'cpus:4.5;mem:4096;disk:8192;ports:[31000-31499,31600-31999];bandwidth:1000;gpus:2',
      },
      {
        attributes: 'rack:r2;ssd:true;big:1048576.125',
        domain: 'eu/z2',
        resources: `cpus(web):1;mem(web):512;cpus:3;${resources};ports:[32000-32999];tokens:{t1,t2,t3}`,
      },
    ].map((spec) => ({ hostname: '127.0.0.1', ...spec }));
    const devcluster = await cluster(2, {}, specs, { domain: 'eu/z1', filterGpus: false });
    for (const scenario of ['01-subscribe-json', '01-subscribe-protobuf']) {
      const { compared } = await replay({ scenario, cluster: devcluster, from: 17, to: 24 });
      expect(compared).toBe(5);
    }
  });

  test.each(['json', 'protobuf'])(
    'about the life of command tasks: %s',
    async (format) => {
      const { compared } = await replay({
        scenario: `04-command-task-${format}`,
        cluster: await cluster(1),
        // One of its tasks must have had the time to say that it ignores SIGTERM.
        keepsPace: true,
      });
      expect(compared).toBeGreaterThan(120);
    },
    60_000,
  );

  test('about a kill policy in the call, and about an update nobody acknowledges', async () => {
    const policy = '04-kill-policy-in-call-driver-command-executor';
    expect((await replay({ scenario: policy, cluster: await cluster(1), keepsPace: true })).compared).toBe(15);
    const specs = agents(1).map((spec) => ({ ...spec, httpCommandExecutor: true }));
    const heeded = '04-kill-policy-in-call-http-command-executor';
    const http = await cluster(1, {}, specs);
    // An offer whose race with the framework's end had a winner.
    expect(
      (await replay({ scenario: heeded, cluster: http, omit: (line) => line === 23, keepsPace: true })).compared,
    ).toBe(14);
    const devcluster = await cluster(1, { updateRetryMin: 500 });
    const scenario = '04-unacknowledged-update';
    expect((await replay({ scenario, cluster: devcluster })).compared).toBe(15);
  }, 60_000);

  test.each(['json', 'protobuf'])(
    'about groups of tasks on the default executor: %s',
    async (format) => {
      const { compared } = await replay({
        scenario: `06-launch-group-default-executor-${format}`,
        cluster: await cluster(1),
      });
      expect(compared).toBe(86);
    },
    60_000,
  );

  test.each(['json', 'protobuf'])(
    'about a custom executor: %s',
    async (format) => {
      const { compared } = await replay({
        scenario: `05-custom-executor-${format}`,
        cluster: await cluster(1, { executorRegistrationTimeout: 6000 }),
      });
      expect(compared).toBeGreaterThan(100);
    },
    60_000,
  );

  test('about tasks of a custom executor whose agent restarts, and of a framework that does not checkpoint', async () => {
    const allocationInterval = 2000;
    const devcluster = await cluster(1, { allocationInterval });
    const { faults } = devcluster;
    // As in the recording, one framework launches just before a round of offers, the other just after it.
    const justBefore = delay(allocationInterval * 0.9);
    const resources = 'cpus:6;mem:4096;disk:8192;ports:[31000-31999]';
    // Executors come back before the agent does.
    const starts = (restart: Promise<void>) => Promise.race([restart, untilHealthy(devcluster.agents[0]!.url)]);
    const { compared } = await replay({
      scenario: '07-agent-restart',
      cluster: devcluster,
      onNote: async (text) => {
        if (text.startsWith('tasks: r1')) await justBefore;
        if (text.startsWith('SIGKILL to the agent')) faults.crashAgent(0);
        if (text.startsWith('SIGTERM to the agent')) faults.crashAgent(0);
        if (text.startsWith('agent stopped and started with more cpus'))
          await expect(faults.restartAgent(0, { resources, policy: 'equal' })).rejects.toThrow('the agent ends');
        if (text.startsWith('the same with')) await starts(faults.restartAgent(0, { resources, policy: 'additive' }));
      },
      // Where the executor finds it again.
      onLine: (line) => (line === 102 || line === 149 ? starts(faults.restartAgent(0)) : undefined),
    });
    expect(compared).toBe(116);
  }, 60_000);

  test('about agents that are lost, return, die and are gone', async () => {
    const devcluster = await cluster(2, { agentPingTimeout: 700 });
    const { faults, agents: both } = devcluster;
    const { compared } = await replay({
      scenario: '08-agent-lost',
      cluster: devcluster,
      onNote: async (text) => {
        if (text.startsWith('agent 1 is frozen')) faults.loseAgent(0);
        if (text.startsWith('agent 1 goes on')) faults.returnAgent(0);
        if (text.startsWith('agent 1 dies')) faults.crashAgent(0);
        if (text === 'agent 1 starts again') await faults.restartAgent(0);
        if (text.startsWith('agent 2 dies')) faults.crashAgent(1);
        if (text.startsWith('agent 1 starts again after')) await faults.restartAgent(0);
      },
    });
    expect(both).toHaveLength(2);
    expect(compared).toBeGreaterThan(80);
  }, 60_000);

  test('to a framework that follows a new leader, and to who asks others before there is one', async () => {
    const devcluster = await cluster(2, {}, agents(2), { masters: 3, sessionTimeout: 1000 });
    const { faults, masterUrls } = devcluster;
    const [first = '', second = '', third = ''] = masterUrls;
    const masters = { '127.0.0.1:6050': first, '127.0.0.1:6060': second, '127.0.0.1:6061': third };
    const { compared } = await replay({
      scenario: '10-master-failover',
      cluster: devcluster,
      masters,
      replace: Object.fromEntries(Object.entries(masters).map(([host, url]) => [host, new URL(url).host])),
      onNote: (text) => {
        if (text.startsWith('offers are outstanding')) faults.killMaster();
      },
      onLine: (line) => {
        // Until then it leads to the dead one.
        if (line === 34) return untilLeads(second);
        // The last call before it was answered.
        if (line === 85) faults.killMaster();
      },
    });
    expect(compared).toBe(53);
  }, 60_000);

  test('to a framework at a master that starts anew before its agents are back', async () => {
    // What an ACCEPT leaves must not be offered again before the SUPPRESS that follows.
    const devcluster = await cluster(2, { allocationInterval: 1000 }, agents(2), { sessionTimeout: 200 });
    const { faults, masterUrl: url } = devcluster;
    const { compared } = await replay({
      scenario: '10-master-failover-agents-late',
      cluster: devcluster,
      onLine: (line) => {
        if (line === 94) for (const agent of [0, 1]) faults.crashAgent(agent);
        if (line === 96) faults.killMaster();
      },
      onNote: async (text) => {
        if (text.startsWith('the leading master is killed')) {
          for (const agent of [0, 1]) faults.loseAgent(agent);
          faults.killMaster();
          await faults.startMaster(0);
          await untilLeads(url);
        }
        if (text === 'agents go on') for (const agent of [0, 1]) faults.returnAgent(agent);
      },
    });
    expect(compared).toBeGreaterThan(40);
  }, 60_000);

  test('about reconciliation', async () => {
    const devcluster = await cluster(3, { agentPingTimeout: 300 });
    const { compared } = await replay({
      scenario: '09-reconciliation',
      cluster: devcluster,
      onNote: (text) => {
        if (text.startsWith('agent 2 dies')) devcluster.faults.crashAgent(1);
      },
    });
    expect(compared).toBeGreaterThan(80);
  }, 60_000);

  test('about frameworks that go', async () => {
    const devcluster = await cluster(1);
    const { compared } = await replay({
      scenario: '11-framework-gone',
      cluster: devcluster,
      onNote: async (text) => {
        if (text.startsWith('subscribe with the id after')) await untilCompleted(devcluster.masterUrl, 1);
      },
    });
    expect(compared).toBeGreaterThan(50);
  }, 60_000);

  test('to reservations and volumes: made, used, grown, shrunk, destroyed, and every wrong operation', async () => {
    const devcluster = await cluster(1);
    const { compared } = await replay({
      scenario: '13-reserve-create-refinement-format',
      cluster: devcluster,
      replace: { '127.0.0.1:6151': devcluster.agents[0]!.url.replace('http://', '') },
    });
    expect(compared).toBeGreaterThan(100);
  }, 90_000);

  test('to a reservation, a volume and a task in one ACCEPT of a framework without RESERVATION_REFINEMENT', async () => {
    const scenario = '13-reserve-create-pre-refinement-format';
    expect((await replay({ scenario, cluster: await cluster(1) })).compared).toBe(25);
  }, 60_000);

  test('to maintenance: schedules, inverse offers, machines down and up, agents deactivated and drained', async () => {
    const specs = agents(2).map((spec, i) => (i === 1 ? { ...spec, hostname: 'localhost' } : spec));
    specs[0] = { ...specs[0]!, httpCommandExecutor: true };
    const devcluster = await cluster(2, {}, specs);
    const comesBack = async () => {
      for (;;) {
        const { get_maintenance_status } = await askMaster(
          { url: devcluster.masterUrl },
          { type: 'GET_MAINTENANCE_STATUS' },
        );
        if (!get_maintenance_status.status.down_machines?.length) return devcluster.faults.restartAgent(1);
        await delay(20);
      }
    };
    const { compared } = await replay({
      scenario: '15-maintenance-drain',
      cluster: devcluster,
      onNote: async (text) => {
        if (text.startsWith('agent 2 tries to come')) await devcluster.faults.restartAgent(1);
        if (text.startsWith('STOP_MAINTENANCE')) void comesBack();
        // The executors of command tasks linger a while.
        if (text.startsWith('SHUTDOWN of that executor')) await untilExecutors(devcluster.agents[0]!.url, 1);
      },
      // Its task must have had the time to say that it ignores SIGTERM.
      keepsPace: /"DRAIN_AGENT"/,
    });
    expect(compared).toBeGreaterThan(80);
  }, 60_000);

  test('to those who show credentials or tokens, good ones and others, and may do what they ask for or not', async () => {
    const meta = parse(readFileSync(join(golden, '17-authentication/meta.json'), 'utf8'));
    const flags = listAt(meta, 'flags', 'master').map(String);
    const acls = flags.find((flag) => flag.startsWith('--acls='))?.slice('--acls='.length) ?? '';
    const secrets = { fw: 's3cret', other: 'o', ops: 'op' };
    const credentials = Object.entries(secrets).map(([principal, secret]) => ({ principal, secret }));
    const workDir = mkdtempSync(join(tmpdir(), 'km-golden-'));
    const [credentialsFile, jwtSecretKeyFile] = [join(workDir, 'credentials.json'), join(workDir, 'key')];
    writeFileSync(credentialsFile, JSON.stringify({ credentials }));
    writeFileSync(jwtSecretKeyFile, 'the key of the tokens\n');
    const specs = agents(1).map((spec) => ({ ...spec, httpCommandExecutor: true }));
    const devcluster = await cluster(1, {}, specs, { credentialsFile, jwtSecretKeyFile, acls, workDir });
    atEnd(() => rmSync(workDir, { recursive: true, maxRetries: 5 }));
    const { masterUrl, agents: there } = devcluster;
    const ops = { principal: 'ops', secret: secrets.ops };
    const started = async (data: unknown) => {
      const recorded = (name: string) => textAt(data, 'env', name) ?? '';
      const { get_containers } = await askAgent({ url: there[0]!.url, credentials: ops }, { type: 'GET_CONTAINERS' });
      const one = get_containers.containers!.find(({ executor_id }) => executor_id?.value === 'ex')!;
      const claims = { cid: one.container_id!.value, eid: 'ex', fid: one.framework_id!.value };
      const MESOS_EXECUTOR_AUTHENTICATION_TOKEN = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
        .sign(Buffer.from('the key of the tokens'));
      return { [recorded('MESOS_EXECUTOR_AUTHENTICATION_TOKEN')]: MESOS_EXECUTOR_AUTHENTICATION_TOKEN };
    };
    const { compared } = await replay({
      scenario: '17-authentication',
      cluster: devcluster,
      replace: { '127.0.0.1:6050': new URL(masterUrl).host },
      onNote: (text, data) => (text.startsWith('executor ex started') ? started(data) : undefined),
    });
    expect(compared).toBe(80);
  }, 60_000);

  test('to operators: questions and wrong calls, nested and standalone containers, sessions with input and output', async () => {
    const specs = agents(2).map((spec, i) => (i === 0 ? { ...spec, attributes: 'rack:r1' } : spec));
    const devcluster = await cluster(2, {}, specs);
    const { compared } = await replay({
      scenario: '16-operator-api',
      cluster: devcluster,
      to: 301,
      // The executors of command tasks linger a while.
      onNote: (text) => (text === 'agent, v1 JSON' ? untilExecutors(devcluster.agents[0]!.url, 3) : undefined),
      // Calls that the devcluster does not have, and sandboxes, which lie elsewhere.
      omit: (line) => line === 125 || line === 126 || (line > 145 && line < 150) || (line > 262 && line < 286),
    });
    expect(compared).toBe(146);
  }, 60_000);
});
