/**
 * Controllers, with an apiserver and etcd in processes of their own: how long a Deployment of 1,000 replicas takes until its
 * pods are in, how long a namespace of 1,000 pods without nodes takes to go, what 5,000 Deployments cost that want nothing,
 * what an informer of 100,000 pods takes, and how soon the pods of a lost node are made anew.
 *
 *   node bench/controllers.ts [many|rest|node-loss|memory]
 */
import { many } from './controllers/many.ts';
import { memory } from './controllers/memory.ts';
import { nodeLoss } from './controllers/node-loss.ts';
import { rest } from './controllers/rest.ts';

const cases = { many, rest, 'node-loss': nodeLoss, memory };
const wanted = process.argv.slice(2);
for (const [name, run] of Object.entries(cases)) if (wanted.length === 0 || wanted.includes(name)) await run();
process.exit();
