import type { Section } from './section.ts';

const replicas = 'controllers/conformance-replicas.test.ts';
const ordered = 'controllers/conformance-ordered.test.ts';
const batch = 'controllers/conformance-batch.test.ts';
const running = 'cluster/conformance-apps.test.ts';
const basic = 'StatefulSet Basic StatefulSet functionality';
const daemonLife: [string, string] = [
  'controllers/daemon-set.test.ts',
  'runs on each node, moves with labels, is made again, updated and rolled back, each in its time',
];
const cronAlone: [string, string] = [
  'controllers/cron-job.test.ts',
  'with Forbid starts none beside one that runs; suspended starts none at all',
];
const rcAdopts: [string, string] = [
  'controllers/replication-controller.test.ts',
  'adopts matching pods and lets go of those that match no longer',
];

export const apps: Section = {
  covers: /^\[sig-apps\]/,
  specs: {
    'CronJob should not schedule jobs when suspended': cronAlone,
    'CronJob should not schedule new jobs when ForbidConcurrent': cronAlone,
    'CronJob should replace jobs when ReplaceConcurrent': batch,
    'CronJob should schedule multiple jobs concurrently': batch,
    'CronJob should support CronJob API operations': batch,
    'Daemon set should list and delete a collection of DaemonSets': ordered,
    'Daemon set should retry creating failed daemon pods': daemonLife,
    'Daemon set should rollback without unnecessary restarts': ordered,
    'Daemon set should run and stop complex daemon': daemonLife,
    'Daemon set should run and stop simple daemon': ordered,
    'Daemon set should update pod when spec was updated and update strategy is RollingUpdate': daemonLife,
    'Daemon set should verify changes to a daemon set status': ordered,
    'Deployment Deployment should have a working scale subresource': replicas,
    'Deployment RecreateDeployment should delete old pods and create new ones': replicas,
    'Deployment RollingUpdateDeployment should delete old pods and create new ones': replicas,
    'Deployment deployment should delete old replica sets': replicas,
    'Deployment deployment should support proportional scaling': replicas,
    'Deployment deployment should support rollover': replicas,
    'Deployment should run the lifecycle of a Deployment': replicas,
    'Deployment should validate Deployment Status endpoints': replicas,
    'DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of PodDisruptionBudgets':
      batch,
    'DisruptionController should block an eviction until the PDB is updated to allow it': [
      'controllers/disruption.test.ts',
      'an eviction is refused until the budget allows it, and then taken from it',
    ],
    'DisruptionController should create a PodDisruptionBudget': batch,
    'DisruptionController should observe PodDisruptionBudget status updated': batch,
    'DisruptionController should update/patch PodDisruptionBudget status': batch,
    'Job should adopt matching orphans and release non-matching pods': [
      'controllers/job.test.ts',
      'adopts matching orphans, releases pods that match no longer, and takes the rest with it',
    ],
    'Job should delete a job': batch,
    'Job should run a job to completion when tasks sometimes fail and are locally restarted': running,
    'ReplicaSet Replace and Patch tests': replicas,
    'ReplicaSet Replicaset should have a working scale subresource': replicas,
    'ReplicaSet should adopt matching pods on creation and release no longer matching pods': [
      'controllers/controllers.test.ts',
      'adopts matching pods that nobody owns, and lets go of those that match no longer',
    ],
    'ReplicaSet should list and delete a collection of ReplicaSets': replicas,
    'ReplicaSet should serve a basic image on each replica with a public image': [
      running,
      '%s should serve a basic image on each replica with a public image',
    ],
    'ReplicaSet should validate Replicaset Status endpoints': replicas,
    'ReplicationController should adopt matching pods on creation': rcAdopts,
    'ReplicationController should release no longer matching pods': rcAdopts,
    'ReplicationController should serve a basic image on each replica with a public image': [
      running,
      '%s should serve a basic image on each replica with a public image',
    ],
    'ReplicationController should surface a failure condition on a common issue like exceeded quota': [
      'controllers/replication-controller.test.ts',
      'says so when a quota is in its way, and no longer when it fits',
    ],
    'ReplicationController should test the lifecycle of a ReplicationController': replicas,
    [`${basic} Burst scaling should run to completion even with unhealthy pods`]: running,
    [`${basic} Scaling should happen in predictable order and halt if any stateful pod is unhealthy`]: running,
    [`${basic} Should recreate evicted statefulset`]: running,
    [`${basic} should have a working scale subresource`]: [
      'controllers/stateful-set.test.ts',
      'the scale subresource resizes it',
    ],
    [`${basic} should list, patch and delete a collection of StatefulSets`]: ordered,
    [`${basic} should perform canary updates and phased rolling updates of template modifications`]: ordered,
    [`${basic} should perform rolling updates and roll backs of template modifications`]: [
      'controllers/stateful-set.test.ts',
      'a set has pods with names, claims, and a history to go back to',
    ],
    [`${basic} should validate Statefulset Status endpoints`]: ordered,
  },
};
