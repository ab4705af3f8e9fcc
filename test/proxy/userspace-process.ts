/** A userspace proxy in the network namespace that it is started in: changes in, refusals out, a line of JSON each. */
import { createInterface } from 'node:readline';
import { silent } from '../../lib/log.ts';
import type { ServicePort } from '../../proxy/rules.ts';
import { UserspaceWriter } from '../../proxy/userspace.ts';

const writer = new UserspaceWriter({ nodePortAddresses: [], udpIdle: 60_000 }, silent);
for await (const line of createInterface({ input: process.stdin })) {
  const changes = JSON.parse(line) as [string, ServicePort | null][];
  const refused = await writer.apply(new Map(changes.map(([key, port]) => [key, port ?? undefined])));
  console.log(JSON.stringify(refused));
}
await writer.close();
