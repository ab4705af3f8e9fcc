import { byTitle, type Section } from './section.ts';

/** What kubectl does for users. */
export const cli: Section = {
  covers: /^\[sig-cli\] (?!.*Kubectl logs)/,
  specs: byTitle({
    'cluster/conformance-cli.test.ts': [
      'Kubectl client Update Demo should create and stop a replication controller',
      'Kubectl client Update Demo should scale a replication controller',
      'Kubectl client Guestbook application should create and stop a working application',
      'Kubectl client Kubectl api-versions should check if v1 is in available api versions',
      'Kubectl client Kubectl cluster-info should check if Kubernetes control plane services is included in cluster-info',
      'Kubectl client Kubectl version should check is all data is printed',
      'Kubectl client Kubectl describe should check if kubectl describe prints relevant information for rc and pods',
      'Kubectl client Kubectl expose should create services for rc',
      'Kubectl client Kubectl label should update the label on a resource',
      'Kubectl client Kubectl patch should add annotations for pods in rc',
      'Kubectl client Kubectl diff should check if kubectl diff finds a difference for Deployments',
      "Kubectl client Kubectl replace should update a single-container pod's image",
      'Kubectl client Kubectl server-side dry-run should check if kubectl can dry-run update Pods',
      'Kubectl client Kubectl run pod should create a pod from an image when restart is Never',
      'Kubectl client Proxy server should support proxy with --port 0',
      'Kubectl client Proxy server should support --unix-socket=/path',
    ],
  }),
};
