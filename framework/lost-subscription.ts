import type { Logger } from '../lib/log.ts';
import type { MesosError } from '../mesos/errors.ts';

/** Another scheduler subscribed with our id: this one must not go on. */
export class Superseded extends Error {
  override name = 'Superseded';

  constructor() {
    super('another km scheduler has taken over this framework; this one stops');
  }
}

/** What to do about what a master says of us, by its words. */
const remedies: readonly (readonly [said: RegExp, remedy: string])[] = [
  [
    /principal is not allowed/,
    'start with the --mesos-principal that this framework had; a framework of another --framework-name may have another',
  ],
  [/--roles|authorized to register/, 'name other roles (--mesos-role, --mesos-roles), or let the master give us these'],
];

/** The master refused us, or ended what we had; `message` is what it said. */
export function tellEnd(message: string, log: Logger): void {
  const remedy = remedies.find(([said]) => said.test(message))?.[1];
  log.error({ message, ...(remedy ? { remedy } : {}) }, 'the Mesos master ended the subscription');
}

/** Says why there is no subscription. Credentials may be the master's to change, so nothing ends of their refusal. */
export function tellLoss(reason: MesosError, log: Logger): void {
  if (reason.code !== 'unauthorized')
    return log.warn({ err: reason }, 'no subscription to the Mesos master; trying again');
  // The error names the principal.
  log.error(
    { err: reason },
    'the Mesos master refuses our credentials: start with others (--mesos-principal, --mesos-secret-file), or give them to the master (its --credentials); trying again',
  );
}
