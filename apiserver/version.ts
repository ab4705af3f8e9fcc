import { build, kubernetesVersion } from '../lib/build.ts';

/** What `/version` answers: the Kubernetes whose API is served, and the km that serves it. */
export const version = {
  major: '1',
  minor: '36',
  emulationMajor: '1',
  emulationMinor: '36',
  minCompatibilityMajor: '1',
  minCompatibilityMinor: '35',
  gitVersion: kubernetesVersion,
  gitCommit: build.commit,
  gitTreeState: 'clean',
  buildDate: build.date,
  // Of the language there is none; clients show the text as it is.
  goVersion: `node ${process.version}`,
  compiler: 'node',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
} as const;
