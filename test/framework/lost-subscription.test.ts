import { afterEach, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { frameworkInfo } from '../../framework/framework-info.ts';
import { options } from '../../framework/index.ts';
import { tellEnd } from '../../framework/lost-subscription.ts';
import { defaultsOf } from '../../lib/options.ts';
import { openSession, schedulerApi } from '../../mesos/session.ts';
import type { FrameworkInfo } from '../../mesos/types.ts';
import { cluster, endAll } from '../devcluster/builders.ts';

afterEach(endAll);

const infoOf = (principal: string, role = '*'): FrameworkInfo =>
  frameworkInfo({ ...defaultsOf(options), mesosPrincipal: principal }, [role]);

/** What the master says first to who introduces himself so, with the session that it is said in. */
async function subscribe(url: string, info: FrameworkInfo) {
  const subscribing = { ...(info.id ? { framework_id: info.id } : {}), subscribe: { framework_info: info } };
  const session = await openSession({ url, protocol: schedulerApi, subscribe: { type: 'SUBSCRIBE', ...subscribing } });
  for await (const event of session.events) {
    if (event.type === 'SUBSCRIBED') return { session, id: event.subscribed.framework_id, said: '' };
    if (event.type === 'ERROR') return { session, id: undefined, said: event.error.message };
  }
  throw new Error('the stream ended without a word');
}

function told(message: string): string {
  let line = '';
  tellEnd(message, pino({}, { write: (text: string) => void (line += text) }));
  return line;
}

describe('a framework that the master refuses in an event', () => {
  test('for another principal than it had, is told which to start with; whoever has the right one stays subscribed', async () => {
    const { masterUrl } = await cluster();
    const { session, id } = await subscribe(masterUrl, infoOf('km'));
    const { said } = await subscribe(masterUrl, { ...infoOf('other'), ...(id ? { id } : {}) });
    expect(told(said)).toContain('start with the --mesos-principal that this framework had');
    // Its calls would be refused if it was not.
    await session.call({ type: 'REVIVE', ...(id ? { framework_id: id } : {}) });
    session.close();
  });

  test('for roles that the master does not have, is told to name others', async () => {
    const { masterUrl } = await cluster({}, { roles: 'web' });
    const { said } = await subscribe(masterUrl, infoOf('', 'ops'));
    expect(told(said)).toContain('name other roles (--mesos-role, --mesos-roles)');
  });

  test('for anything else, is told what the master said', () => {
    expect(told('Framework has been removed')).toContain('"message":"Framework has been removed"');
    expect(told('Framework has been removed')).not.toContain('remedy');
  });
});
