import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';

/** The address by which this machine goes out, which pods with a network of their own reach too; '' where it has none. */
export async function machineAddress(): Promise<string> {
  const socket = createSocket('udp4');
  try {
    // Connecting a datagram socket sends nothing; it only looks up the way. The address is one of documentation.
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(53, '198.51.100.1', resolve);
    });
    const { address } = socket.address();
    return isIP(address) && !isLoopback(address) ? address : '';
  } catch {
    return '';
  } finally {
    socket.close();
  }
}

export const isLoopback = (address: string): boolean => address === '::1' || /^127\./.test(address);
