import { annotations } from '../api/kinds/names.ts';
import type { Node } from '../api/kinds/node.ts';
import type { Informer } from '../client/informer.ts';
import { kubernetesVersion } from '../lib/build.ts';
import type { Logger } from '../lib/log.ts';

/** Of the executor that runs there, or did last; undefined where none has run. */
const versionOf = ({ metadata, status }: Node): string | undefined =>
  metadata.annotations?.[annotations.kubeletCertificate] ? status?.nodeInfo?.kubeletVersion : undefined;

/** Says where an upgrade is, as long as there are executors of another version than ours: each time one changes. */
export function followUpgrade(nodes: Informer<Node>, isOurs: (node: Node) => boolean, log: Logger): void {
  /** '' while nothing is to be upgraded. */
  let said = '';
  const tell = () => {
    const versions = [...nodes.list()].filter((node) => isOurs(node)).flatMap((node) => versionOf(node) ?? []);
    const upgraded = versions.filter((version) => version === kubernetesVersion).length;
    const isDone = upgraded === versions.length;
    const where = isDone ? '' : `${upgraded} of ${versions.length}`;
    if (where === said) return;
    said = where;
    log.info(
      { version: kubernetesVersion, upgraded, executors: versions.length },
      isDone ? 'every executor is of our version' : 'executors are of another version than ours',
    );
  };
  // What is there already is told as added.
  nodes.on((change) => {
    const before = change.type === 'updated' ? versionOf(change.old) : undefined;
    if (change.type === 'deleted' || before !== versionOf(change.object)) tell();
  });
}
