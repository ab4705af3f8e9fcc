import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** How a kubeconfig names the program: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins */
export interface ExecConfig {
  apiVersion: string;
  command: string;
  args?: readonly string[];
  env?: readonly { name: string; value: string }[];
  provideClusterInfo?: boolean;
  installHint?: string;
}

/** What the program is told of the cluster where it asks to be. */
export interface ExecCluster {
  server: string;
  'certificate-authority-data'?: string;
  'insecure-skip-tls-verify'?: boolean;
}

/** What proves who we are: a token, or a certificate and its key (PEM). */
export interface Credential {
  token?: string;
  cert?: string;
  key?: string;
}

/** Gives credentials that change; asked before every request. */
export interface CredentialSource {
  /** May wait for one, until the signal aborts. */
  get(signal?: AbortSignal): Promise<Credential>;
  /** The server did not believe this one: the next `get` gives another, if it was still good for us. */
  refused(shown: Credential): void;
}

const versions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];
/** Milliseconds. */
const timeout = 60_000;
const run = promisify(execFile);

/**
 * Credentials from a program, kept until they run out or are refused. It gets no terminal: none that must ask a person can be used.
 * `get` rejects with an Error that names the program and what is wrong.
 */
export function execCredentials(config: ExecConfig, cluster: ExecCluster, now = Date.now): CredentialSource {
  if (!versions.includes(config.apiVersion))
    throw new Error(
      `the credential program ${config.command} speaks ${config.apiVersion}; known are ${versions.join(', ')}`,
    );
  let kept: { credential: Promise<Credential & { until: number }>; until: number } | undefined;
  const fresh = () => {
    const credential = ask(config, cluster);
    const current = { credential, until: Infinity };
    credential.then(
      ({ until }) => void (current.until = until),
      () => void (kept = kept === current ? undefined : kept),
    );
    kept = current;
    return current;
  };
  return {
    get: () => (kept && now() < kept.until ? kept : fresh()).credential,
    refused: () => void (kept = undefined),
  };
}

async function ask(config: ExecConfig, cluster: ExecCluster): Promise<Credential & { until: number }> {
  const { apiVersion, command, args = [], env = [] } = config;
  const spec = { interactive: false, ...(config.provideClusterInfo ? { cluster } : {}) };
  const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec });
  const more = Object.fromEntries(env.map(({ name, value }) => [name, value]));
  const environment = { ...process.env, ...more, KUBERNETES_EXEC_INFO: info };
  const { stdout } = await run(command, [...args], { env: environment, timeout }).catch((cause: unknown) => {
    const { code, stderr = '' } = detailsOf(cause);
    const isMissing = code === 'ENOENT';
    const said = String(stderr).trim().slice(0, 500);
    const why = isMissing ? `it is not installed. ${config.installHint ?? ''}` : said || String(cause);
    throw new Error(`the credential program ${command} failed: ${why}`.trim(), { cause });
  });
  return credentialOf(stdout, config);
}

function credentialOf(text: string, { apiVersion, command }: ExecConfig): Credential & { until: number } {
  let answer: { kind?: unknown; apiVersion?: unknown; status?: Record<string, unknown> } | null;
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch (cause) {
    throw new Error(`the credential program ${command} printed no JSON`, { cause });
  }
  if (answer?.kind !== 'ExecCredential' || answer.apiVersion !== apiVersion)
    throw new Error(`the credential program ${command} printed no ExecCredential of ${apiVersion}`);
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = answer.status ?? {};
  const hasToken = typeof token === 'string' && token !== '';
  const hasPair = typeof cert === 'string' && typeof key === 'string';
  if (!hasToken && !hasPair)
    throw new Error(`the credential program ${command} gave neither a token nor a certificate with its key`);
  const until = typeof expirationTimestamp === 'string' ? Date.parse(expirationTimestamp) : Infinity;
  return {
    ...(hasToken ? { token } : {}),
    ...(hasPair ? { cert, key } : {}),
    until: Number.isNaN(until) ? Infinity : until,
  };
}

const detailsOf = (cause: unknown): { code?: unknown; stderr?: unknown } =>
  typeof cause === 'object' && cause !== null ? cause : {};
