const secrets = ['--etcd-password', '--executor-token'];
/** `zk://user:password@host` */
const withPassword = /:\/\/[^/@\s:]+:[^/@\s]+@/;

/** Flags that show a password or token to everybody who lists processes. */
export function shownSecrets(args: readonly string[]): string[] {
  return args.flatMap((arg, i) => {
    if (!arg.startsWith('--')) return [];
    const [name = '', ...rest] = arg.split('=');
    const value = rest.length > 0 ? rest.join('=') : (args[i + 1] ?? '');
    return (value && secrets.includes(name)) || withPassword.test(value) ? [name] : [];
  });
}
