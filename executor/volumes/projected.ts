import type { KeyToPath } from '../../api/kinds/pod.ts';
import { configMapFiles } from './config-map.ts';
import { type DownwardItem, downwardFiles } from './downward-api.ts';
import { type VolumeFile, fileAt, writeVolume } from './files.ts';
import { secretFiles } from './secret.ts';
import { VolumeError, type VolumePlace, type VolumeType } from './volume.ts';

interface Source {
  configMap?: { name?: string; items?: KeyToPath[]; optional?: boolean };
  secret?: { name?: string; items?: KeyToPath[]; optional?: boolean };
  downwardAPI?: { items?: DownwardItem[] };
  serviceAccountToken?: { audience?: string; expirationSeconds?: number; path: string };
}

/** Several sources in one directory. A token is asked for anew when a fifth of its life is left. */
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

/** `renewAt` is of performance.now(). */
const tokens = new Map<string, { token: string; renewAt: number }>();

async function tokenFile(
  { audience, expirationSeconds = 3600, path }: NonNullable<Source['serviceAccountToken']>,
  mode: number,
  place: VolumePlace,
): Promise<VolumeFile[]> {
  const key = `${place.path}/${path}`;
  let known = tokens.get(key);
  if (!known || known.renewAt <= performance.now()) {
    const { token, expiresAt } = await place.facts.token(audience, expirationSeconds);
    // Our clock may be wrong, and may be put right: it is asked once, and not trusted with more than what was asked for.
    const life = Math.min(expiresAt - Date.now(), expirationSeconds * 1000);
    tokens.set(key, (known = { token, renewAt: performance.now() + life * 0.8 }));
  }
  return [fileAt('serviceAccountToken', path, Buffer.from(known.token), mode)];
}
