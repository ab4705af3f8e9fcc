import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { makeCa } from '../pki.ts';

export interface WebhookServer {
  url: string;
  port: number;
  /** PEM, base64, as webhook configurations carry it. */
  caBundle: string;
  /** Every body that came in, with its path. */
  asked: { path: string; body: Review }[];
  stop: () => Promise<void>;
}

/** What a webhook is asked, loosely typed for tests to look into. */
export interface Review {
  [member: string]: Review;
}

/** A real HTTPS server that answers every POST with what `answer` makes of it, at once or later; undefined never answers. */
export async function startWebhook(answer: (path: string, body: Review) => unknown): Promise<WebhookServer> {
  const ca = await makeCa('webhook-ca');
  const asked: WebhookServer['asked'] = [];
  const server = createServer(await ca.issue('webhook'), (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const path = new URL(request.url ?? '/', 'https://x').pathname;
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Review;
      asked.push({ path, body });
      void Promise.resolve(answer(path, body)).then((value) => {
        if (value !== undefined) response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}`,
    port,
    caBundle: Buffer.from(ca.pem).toString('base64'),
    asked,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
