import { bad, forbiddenField, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Container } from './kinds/pod.ts';
import { checkPortName } from './names.ts';
import { between, mustBeOneOf, named, notNegative } from './rules.ts';

interface Handler {
  exec?: { command?: string[] };
  httpGet?: { path?: string; port?: number | string; scheme?: string; httpHeaders?: { name: string }[] };
  tcpSocket?: { port?: number | string };
  grpc?: { port?: number };
  sleep?: { seconds?: number };
}

interface Probe extends Handler {
  initialDelaySeconds?: number;
  timeoutSeconds?: number;
  periodSeconds?: number;
  successThreshold?: number;
  failureThreshold?: number;
  terminationGracePeriodSeconds?: number;
}

const seconds = [
  'initialDelaySeconds',
  'timeoutSeconds',
  'periodSeconds',
  'successThreshold',
  'failureThreshold',
] as const;

const probeHandlers = ['exec', 'httpGet', 'tcpSocket', 'grpc'] as const;
const hookHandlers = ['exec', 'httpGet', 'tcpSocket', 'sleep'] as const;

/** Rules on what asks a container how it is, and on what it does when it starts and stops. */
export function validateHandlers(container: Container, at: string): FieldError[] {
  const probes = (['livenessProbe', 'readinessProbe', 'startupProbe'] as const).flatMap((name) =>
    validateProbe(container[name] as Probe | undefined, name, `${at}.${name}`),
  );
  const hooks = (['postStart', 'preStop'] as const).flatMap((name) => {
    const hook = container.lifecycle?.[name] as Handler | undefined;
    return hook ? validateHandler(hook, hookHandlers, `${at}.lifecycle.${name}`) : [];
  });
  return [...probes, ...hooks];
}

function validateProbe(probe: Probe | undefined, name: string, at: string): FieldError[] {
  if (!probe) return [];
  const { successThreshold, terminationGracePeriodSeconds: grace } = probe;
  return [
    ...validateHandler(probe, probeHandlers, at),
    ...seconds.flatMap((field) => notNegative(probe[field], `${at}.${field}`)),
    ...(name !== 'readinessProbe' && successThreshold !== undefined && successThreshold !== 1
      ? [bad(`${at}.successThreshold`, successThreshold, 'must be 1')]
      : []),
    ...(name === 'readinessProbe' && grace !== undefined
      ? [bad(`${at}.terminationGracePeriodSeconds`, grace, 'must not be set for readinessProbes')]
      : []),
    ...(name !== 'readinessProbe' && grace !== undefined && grace <= 0
      ? [bad(`${at}.terminationGracePeriodSeconds`, grace, 'must be greater than 0')]
      : []),
  ];
}

function validateHandler(handler: Handler, kinds: readonly (keyof Handler)[], at: string): FieldError[] {
  const [first, ...more] = kinds.filter((name) => handler[name] !== undefined);
  if (!first) return [required(at, 'must specify a handler type')];
  const errors = more.map((name) => forbiddenField(`${at}.${name}`, 'may not specify more than 1 handler type'));
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler;
  const field = `${at}.${first}`;
  if (exec && !exec.command?.length) errors.push(required(`${field}.command`));
  if (httpGet) {
    if (!httpGet.path) errors.push(required(`${field}.path`));
    errors.push(
      ...validatePort(httpGet.port, field),
      ...mustBeOneOf(httpGet.scheme, ['HTTP', 'HTTPS'], `${field}.scheme`),
    );
  }
  if (tcpSocket) errors.push(...validatePort(tcpSocket.port, field));
  if (grpc) errors.push(...between(grpc.port ?? 0, 1, 65535, `${field}.port`));
  if (sleep) errors.push(...notNegative(sleep.seconds, `${field}.seconds`));
  return errors;
}

/** A number, or the name of one of the container's ports. */
const validatePort = (port: number | string | undefined, at: string): FieldError[] =>
  typeof port === 'string' ? named(port, checkPortName, `${at}.port`) : between(port ?? 0, 1, 65535, `${at}.port`);
