import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
  status,
} from '@grpc/grpc-js';
import { services } from '../../executor/grpc.ts';
import { isMounted } from '../../executor/volumes/mounts.ts';

interface Request {
  error: string;
  volume_id: string;
  staging_target_path: string;
  target_path: string;
  readonly: boolean;
  volume_path: string;
  capacity_range: { required_bytes: number };
  publish_context: Record<string, string>;
  secrets: Record<string, string>;
  volume_context: Record<string, string>;
  volume_capability: {
    block?: object;
    mount: { fs_type: string; mount_flags: string[] };
    access_mode: { mode: string };
  };
}

export interface CsiDriverOptions {
  name: string;
  /** Where its sockets and its volumes are. */
  directory: string;
  /** Where kubelets look for registrations. */
  registry: string;
  versions?: string[];
}

/**
 * A CSI driver whose volumes are directories of this machine: `<directory>/volumes/<id>` is staged and published by bind
 * mounts. As strict as the specification lets a driver be: what was not staged is not published.
 */
export class CsiDriver {
  /** What it was asked, in order: the method, and the request without what proto fills in. */
  readonly calls: { method: string; request: Request }[] = [];
  /** What a kubelet said of its registration; '' when it was taken. */
  readonly registrations: string[] = [];
  /** Refuses calls of this method with these words. */
  refusing: { method: string; words: string } | undefined;
  readonly #options: CsiDriverOptions;
  #servers: Server[] = [];

  constructor(options: CsiDriverOptions) {
    this.#options = options;
  }

  get volumes(): string {
    return join(this.#options.directory, 'volumes');
  }

  methods(volume?: string): string[] {
    return this.calls.filter(({ request }) => !volume || request.volume_id === volume).map(({ method }) => method);
  }

  async start(): Promise<void> {
    const { directory, registry, name } = this.#options;
    const { Node } = services(new URL('../../executor/csi/csi.proto', import.meta.url), 'csi.v1');
    const { Registration } = services(
      new URL('../../executor/csi/registration.proto', import.meta.url),
      'pluginregistration',
    );
    mkdirSync(this.volumes, { recursive: true });
    await this.#serve(join(directory, 'csi.sock'), Node!.service, {
      NodeGetInfo: () =>
        Promise.resolve({
          node_id: `${name}-here`,
          max_volumes_per_node: 7,
          accessible_topology: { segments: { [`${name}/rack`]: 'r1' } },
        }),
      NodeGetCapabilities: () =>
        Promise.resolve({ capabilities: ['STAGE_UNSTAGE_VOLUME', 'EXPAND_VOLUME'].map((type) => ({ rpc: { type } })) }),
      NodeStageVolume: (request) => this.#stage(request),
      NodePublishVolume: (request) => this.#publish(request),
      NodeExpandVolume: (request) => this.#expand(request),
      NodeUnpublishVolume: (request) => this.#unmount(request.target_path, true),
      NodeUnstageVolume: (request) => this.#unmount(request.staging_target_path, false),
    });
    await this.#serve(join(registry, `${name}-reg.sock`), Registration!.service, {
      GetInfo: () =>
        Promise.resolve({
          type: 'CSIPlugin',
          name,
          endpoint: join(directory, 'csi.sock'),
          supported_versions: this.#options.versions ?? ['1.0.0'],
        }),
      NotifyRegistrationStatus: (request) => {
        this.registrations.push(request.error);
        return Promise.resolve({});
      },
    });
  }

  /** Takes its sockets away with it. */
  stop(): void {
    for (const server of this.#servers.splice(0)) server.forceShutdown();
  }

  async #stage(request: Request): Promise<object> {
    const source = join(this.volumes, request.volume_id);
    if (!existsSync(source)) throw refusal(status.NOT_FOUND, `there is no volume ${request.volume_id}`);
    if (!(await isMounted(request.staging_target_path))) bind(source, request.staging_target_path);
    return {};
  }

  async #publish(request: Request): Promise<object> {
    const {
      volume_id: id,
      staging_target_path: staged,
      target_path: target,
      readonly,
      volume_context: context,
    } = request;
    let source = staged;
    if (context['csi.storage.k8s.io/ephemeral'] === 'true') {
      source = join(this.volumes, id);
      mkdirSync(source, { recursive: true });
      writeFileSync(join(source, 'context.json'), JSON.stringify(context));
    } else if (!(await isMounted(staged))) throw refusal(status.FAILED_PRECONDITION, `volume ${id} is not staged`);
    if (await isMounted(target)) return {};
    // Its place is a file, and what is there the device of that name.
    if (request.volume_capability.block) {
      writeFileSync(target, '');
      bind(readlinkSync(join(this.volumes, id, 'device')), target);
      return {};
    }
    mkdirSync(target);
    bind(source, target);
    if (readonly) execFileSync('mount', ['-o', 'remount,bind,ro', target]);
    return {};
  }

  async #expand({ volume_path: path, capacity_range: { required_bytes } }: Request): Promise<object> {
    if (!(await isMounted(path))) throw refusal(status.NOT_FOUND, `nothing is mounted at ${path}`);
    return { capacity_bytes: required_bytes };
  }

  async #unmount(path: string, isTarget: boolean): Promise<object> {
    if (await isMounted(path)) execFileSync('umount', [path]);
    if (isTarget && existsSync(path)) rmSync(path, { recursive: true });
    return {};
  }

  async #serve(
    socket: string,
    definition: ServiceDefinition,
    methods: Record<string, (request: Request) => Promise<object>>,
  ): Promise<void> {
    const server = new Server();
    const handlers: UntypedServiceImplementation = {};
    for (const [method, work] of Object.entries(methods))
      handlers[method] = (call: { request: Request }, done: (error: Error | null, answer?: object) => void) => {
        if (method.startsWith('Node') && !method.startsWith('NodeGet'))
          this.calls.push({ method, request: call.request });
        const refused = this.refusing?.method === method;
        const answer = refused ? Promise.reject(refusal(status.INTERNAL, this.refusing!.words)) : work(call.request);
        answer.then(
          (value) => done(null, value),
          (error: Error) => done(error),
        );
      };
    server.addService(definition, handlers);
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix://${socket}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    this.#servers.push(server);
  }
}

const bind = (source: string, target: string): void => void execFileSync('mount', ['--bind', source, target]);

const refusal = (code: status, details: string): Error => Object.assign(new Error(details), { code, details });
