import { Client } from '../../client/client.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { options, start } from '../../proxy/index.ts';

// A proxy whose apiserver does not answer, in the network namespace where this runs; it says why it ends.
const client = new Client({ server: 'https://127.0.0.1:1' });
start(defaultsOf(options), { client, log: silent, signal: new AbortController().signal }).catch((error: Error) => {
  console.log(error.message);
  process.exit(1);
});
setInterval(() => undefined, 60_000);
