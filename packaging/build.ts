/**
 * `npm run build`: what is handed to others, in dist/ (or --out).
 *
 *   sources ─ tsc ─▶ JavaScript ─┬─ npm pack ─▶ km-<version>.tgz                 npm package, for a Node that is there
 *                                └─ + locked packages + Node ─▶ km-<version>-linux-<arch>.tar.gz    needs nothing
 *   a script that unpacks itself + this archive ─▶ km-<version>-linux-<arch>.run                      one file that runs
 *   what is in the archive ─ npm sbom ─▶ km-<version>.sbom.cdx.json
 *   all of these ─▶ SHA256SUMS
 *
 * Node strips no types below node_modules, so what is installed there has to be JavaScript.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  chmodSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { build } from '../lib/build.ts';
import { list, number, readOptions, text } from '../lib/options.ts';

const root = resolve(import.meta.dirname, '..');
const options = {
  out: text('Where everything is put; what was built there before goes', join(root, 'dist'), '<directory>'),
  arch: list('Processors to make archives for: x64, arm64', [process.arch], '<name,name>'),
  // At the usual level: the best would be smaller by half a percent for two and a half times the work.
  compression: number('How hard the archives are compressed, 1 to 9', 6, { min: 1, max: 9 }),
} as const;

interface Manifest {
  version: string;
  build?: { commit: string; date: string };
  bin: Record<string, string>;
  /** What other packages may import, by the sources. */
  exports: Record<string, string>;
  [field: string]: unknown;
}

const run = (command: string, args: readonly string[], cwd = root): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 2 ** 28 });

async function main(): Promise<void> {
  const given = readOptions(options, process.argv.slice(2));
  const out = resolve(given.out);
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const { commit, date } = source();
  const name = `km-${manifest.version}`;
  mkdirSync(out, { recursive: true });
  for (const old of globSync(['km', 'km-*', 'SHA256SUMS'], { cwd: out })) rmSync(join(out, old), { recursive: true });

  const compiled = join(out, 'km');
  compile(compiled, { ...manifest, build: { commit, date } });
  run('npm', ['pack', '--silent', '--pack-destination', out, compiled]);

  const machines = given.arch.map((arch) => ({ arch, machine: `${name}-${process.platform}-${arch}` }));
  const packages = installedPackages();
  for (const { arch, machine } of machines) {
    pack(join(out, machine), compiled, manifest.version, packages);
    putNode(join(out, machine, 'lib/node'), arch, out);
    const owned = ['--owner=0', '--group=0', '--numeric-owner', '--sort=name', `--mtime=${date}`];
    run(
      'tar',
      [...owned, `--use-compress-program=gzip -n${given.compression}`, '-cf', `${machine}.tar.gz`, machine],
      out,
    );
    await single(join(out, machine), manifest.version);
  }
  const sbom = run('npm', ['sbom', '--sbom-format=cyclonedx'], join(out, machines[0]!.machine, 'lib/km'));
  writeFileSync(join(out, `${name}.sbom.cdx.json`), sbom);

  const archives = machines.flatMap(({ machine }) => [`${machine}.tar.gz`, `${machine}.run`]);
  const files = [`${name}.tgz`, ...archives, `${name}.sbom.cdx.json`];
  const sums = await Promise.all(files.map(async (file) => `${await sha256(join(out, file))}  ${file}\n`));
  writeFileSync(join(out, 'SHA256SUMS'), sums.join(''));
  process.stdout.write(`${files.join('\n')}\nSHA256SUMS\n`);
}

/** The Node that runs this, or the same version for another processor, from the package that `node` takes it from, too. */
function putNode(target: string, arch: string, scratch: string): void {
  if (arch === process.arch) return cpSync(process.execPath, target, { dereference: true });
  const spec = `node-${process.platform}-${arch}@${process.version.slice(1)}`;
  const archive = run('npm', ['pack', '--silent', '--pack-destination', scratch, spec]).trim();
  run('tar', ['-xzf', archive, '--strip-components=2', 'package/bin/node'], scratch);
  rmSync(join(scratch, archive));
  renameSync(join(scratch, 'node'), target);
  chmodSync(target, 0o755);
}

/** The sources as JavaScript, and what they read beside them. */
function compile(target: string, manifest: Manifest): void {
  run(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--outDir', target]);
  const beside = globSync(
    ['{api,mesos,executor,framework}/**/*.{proto,json,html,css,js}', 'docs/**/*.md', '*.md', 'LICENSE'],
    { cwd: root },
  );
  for (const file of beside) cpSync(join(root, file), join(target, file));
  const { devDependencies: _dev, scripts: _scripts, allowScripts: _allow, ...kept } = manifest;
  const bin = { km: 'cli/km.js' };
  const exports = Object.fromEntries(
    Object.entries(manifest.exports).map(([name, path]) => [name, compiledEntry(path)]),
  );
  writeFileSync(join(target, 'package.json'), `${JSON.stringify({ ...kept, bin, exports }, null, 2)}\n`);
  chmodSync(join(target, bin.km), 0o755);
}

const compiledEntry = (path: string) =>
  path.endsWith('.ts') ? { types: path.replace(/\.ts$/, '.d.ts'), default: path.replace(/\.ts$/, '.js') } : path;

/** The directories of the packages that are installed, without development's and the native one. */
function installedPackages(): string[] {
  const listed = run('npm', ['ls', '--omit=dev', '--omit=optional', '--all', '--parseable']);
  return listed.split('\n').filter((path) => path.includes('node_modules'));
}

/** A directory with everything but Node. */
function pack(target: string, compiled: string, version: string, packages: readonly string[]): void {
  cpSync(compiled, join(target, 'lib/km'), { recursive: true });
  for (const from of packages)
    cpSync(from, join(target, 'lib/km', relative(root, from)), { recursive: true, filter: isOwn(from) });
  cpSync(join(root, 'packaging/km.sh'), join(target, 'bin/km'));
  chmodSync(join(target, 'bin/km'), 0o755);
  for (const folder of ['systemd', 'marathon'])
    for (const file of globSync(`${folder}/*`, { cwd: import.meta.dirname }))
      copyFilled(file, join(target, 'share'), version);
  for (const file of ['README.md', 'CHANGELOG.md', 'LICENSE', 'docs'])
    cpSync(join(root, file), join(target, file), { recursive: true });
  writeFileSync(
    join(target, 'NOTICE'),
    `lib/node is Node.js ${process.version}: https://github.com/nodejs/node/blob/${process.version}/LICENSE\n` +
      'The licences of the packages in lib/km/node_modules lie beside them.\n',
  );
}

/** One file that runs: packaging/single.sh, and the archive behind it. */
async function single(machine: string, version: string): Promise<void> {
  const script = readFileSync(join(import.meta.dirname, 'single.sh'), 'utf8')
    .replaceAll('VERSION', version)
    .replaceAll('MACHINE', basename(machine))
    .replaceAll('DIGEST', (await sha256(`${machine}.tar.gz`)).slice(0, 12));
  const lines = String(script.split('\n').length);
  writeFileSync(`${machine}.run`, script.replace('LINES', lines), { mode: 0o755 });
  await pipeline(createReadStream(`${machine}.tar.gz`), createWriteStream(`${machine}.run`, { flags: 'a' }));
}

const unused = /^(test|tests|bench|benchmark|benchmarks|docs|examples)$/;

/** Packages inside a package are listed themselves; what only their makers use stays behind. */
const isOwn = (from: string) => (path: string) => {
  const parts = relative(from, path).split('/');
  return !parts.includes('node_modules') && !unused.test(parts[0]!) && !/\.(map|[cm]?ts)$/.test(path);
};

/** Files name the archive that they come with. */
function copyFilled(file: string, target: string, version: string): void {
  mkdirSync(dirname(join(target, file)), { recursive: true });
  const filled = readFileSync(join(import.meta.dirname, file), 'utf8').replaceAll('VERSION', version);
  writeFileSync(join(target, file), filled);
}

/** Which sources these are. The date is the commit's, so that the same sources give the same archive. */
function source(): { commit: string; date: string } {
  if (!existsSync(join(root, '.git'))) return build;
  const [commit = '', seconds] = run('git', ['show', '-s', '--format=%H %ct', 'HEAD']).trim().split(' ');
  return { commit, date: new Date(Number(seconds) * 1000).toISOString().replace(/\.\d+Z$/, 'Z') };
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

await main();
