import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const setting = '/proc/sys/net/ipv4/ip_forward';
const holders = '/run/km-test/forwarding';
const before = 'before';
let serial = 0;

/** This machine forwards packets until the answer is called; the last of all processes that ask for it leaves the setting as the first found it. */
export function forwardPackets(): () => void {
  mkdirSync(holders, { recursive: true });
  if (readdirSync(holders).length === 0) writeFileSync(join(holders, before), readFileSync(setting));
  const mine = join(holders, `${process.pid}-${serial++}`);
  writeFileSync(mine, '');
  writeFileSync(setting, '1');
  return () => {
    rmSync(mine, { force: true });
    if (readdirSync(holders).some((name) => name !== before)) return;
    writeFileSync(setting, readFileSync(join(holders, before)));
    rmSync(holders, { recursive: true, force: true });
  };
}
