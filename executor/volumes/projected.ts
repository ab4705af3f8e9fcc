import type { KeyToPath, Pod } from '../../api/kinds/pod.ts';
import { containersOf } from '../containers.ts';
import { configMapFiles } from './config-map.ts';
import { type DownwardItem, downwardFiles } from './downward-api.ts';
import { type VolumeFile, fileAt, writeVolume } from './files.ts';
import { secretFiles } from './secret.ts';
import { type VolumeFacts, VolumeError, type VolumePlace, type VolumeType } from './volume.ts';

interface Source {
  configMap?: { name?: string; items?: KeyToPath[]; optional?: boolean };
  secret?: { name?: string; items?: KeyToPath[]; optional?: boolean };
  downwardAPI?: { items?: DownwardItem[] };
  serviceAccountToken?: TokenSource;
}

interface TokenSource {
  audience?: string;
  expirationSeconds?: number;
  path: string;
}

/** Several sources in one directory. A token is asked for anew when a fifth of its life is left, and every day. */
export const projected: VolumeType = {
  source: 'projected',
  isReadOnly: () => true,
  async prepare(volume, place) {
    const { sources = [], defaultMode = 0o644 } = volume.projected as { sources?: Source[]; defaultMode?: number };
    const files: VolumeFile[] = [];
    for (const source of sources) files.push(...(await filesOf(source, defaultMode, place)));
    return writeVolume(volume, place, files);
  },
  remove(path) {
    for (const key of tokens.keys()) if (key.startsWith(`${path}/`)) tokens.delete(key);
    return Promise.resolve();
  },
};

function filesOf(source: Source, mode: number, place: VolumePlace): Promise<VolumeFile[]> | VolumeFile[] {
  if (source.configMap) return configMapFiles(source.configMap, mode, place.facts);
  if (source.secret) return secretFiles(source.secret, mode, place.facts);
  if (source.downwardAPI) return downwardFiles(source.downwardAPI.items ?? [], mode, place.pod, place.facts);
  if (source.serviceAccountToken) return tokenFile(source.serviceAccountToken, mode, place);
  throw new VolumeError(`a projected volume cannot have ${Object.keys(source).join(', ') || 'an empty source'} yet`);
}

/** Only the user whom the pod runs as may read a token, or its group; without one, whoever the mode lets. */
async function tokenFile(
  { audience, expirationSeconds = 3600, path }: TokenSource,
  defaultMode: number,
  { pod, path: directory, facts }: VolumePlace,
): Promise<VolumeFile[]> {
  const token = await tokenFor(
    `${directory}/${path}`,
    () => facts.token(audience, expirationSeconds),
    expirationSeconds,
  );
  const owner = userOf(pod);
  const isFree = owner === undefined && pod.spec.securityContext?.fsGroup === undefined;
  return [{ ...fileAt('serviceAccountToken', path, Buffer.from(token), isFree ? defaultMode : 0o600), owner }];
}

/** Whom all containers of the pod run as, where it says so. */
function userOf(pod: Pod): number | undefined {
  const usual = pod.spec.securityContext?.runAsUser;
  const users = new Set(containersOf(pod).map(({ securityContext }) => securityContext?.runAsUser ?? usual));
  return users.size === 1 ? [...users][0] : undefined;
}

const day = 24 * 3_600_000;
/** By the file they are for; the times are of performance.now(). */
const tokens = new Map<string, { token: string; renewAt: number; endsAt: number }>();

async function tokenFor(key: string, ask: () => ReturnType<VolumeFacts['token']>, seconds: number): Promise<string> {
  const known = tokens.get(key);
  const now = performance.now();
  if (known && now < known.renewAt) return known.token;
  try {
    const { token, expiresAt } = await ask();
    // Our clock may be wrong, and may be put right: it is asked once, and not trusted with more than what was asked for.
    const life = Math.min(expiresAt - Date.now(), seconds * 1000);
    tokens.set(key, { token, renewAt: now + Math.min(life * 0.8, day), endsAt: now + life });
    return token;
  } catch (error) {
    if (!known || known.endsAt <= now) throw error;
    return known.token; // the next look asks again
  }
}
