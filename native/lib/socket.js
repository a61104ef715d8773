// Sockets as plain file descriptors, made in the calling thread's network namespace.
import { isIP } from 'node:net';
import { addon } from './addon.js';
import {
  checkBoolean,
  checkBytes,
  checkFd,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkString,
  checkUint32,
} from './check.js';

const BOOLEANS = ['reuseAddress', 'reusePort', 'v6only'];
const OPTIONS = ['family', 'type', 'protocol', 'bind', 'listen', 'mark', 'device', ...BOOLEANS];

export function open(options) {
  checkOptions('options', options, OPTIONS);
  const { family, type, protocol, bind, listen, mark, device } = options;
  checkOneOf('family', family, [4, 6]);
  checkOneOf('type', type, ['tcp', 'udp', 'raw']);
  if (type === 'raw' || protocol !== undefined) checkInteger('protocol', protocol, 0, 255);
  if (listen !== undefined) checkInteger('listen', listen, 0, 0x7fffffff);
  if (mark !== undefined) checkUint32('mark', mark);
  if (device !== undefined) checkString('device', device);
  for (const name of BOOLEANS) {
    if (options[name] !== undefined) checkBoolean(name, options[name]);
  }
  const local = bind === undefined ? undefined : endpoint('bind', bind, family);
  const label = `${type} socket${local ? ` on ${local.address} port ${local.port}` : ''}`;
  return addon.socketOpen({ ...options, ...local, label });
}

export function send(fd, data, to) {
  checkFd(fd);
  checkBytes('data', data);
  const { address, port } = to === undefined ? { port: 0 } : endpoint('to', to);
  addon.socketSend(fd, data, address, port);
}

export function receive(fd, timeoutMs) {
  return addon.socketReceive(checkFd(fd), checkInteger('timeoutMs', timeoutMs, 0, 0x7fffffff));
}

export function localAddress(fd) {
  return addon.socketLocalAddress(checkFd(fd));
}

export function close(fd) {
  addon.socketClose(checkFd(fd));
}

function endpoint(name, value, family) {
  checkOptions(name, value, ['address', 'port']);
  const { address, port = 0 } = value;
  const actual = typeof address === 'string' ? isIP(address) : 0;
  if (actual === 0 || (family !== undefined && actual !== family)) {
    throw new TypeError(`${name}.address: expected an IPv${family ?? '4 or IPv6'} address, got ${String(address)}`);
  }
  return { address, port: checkInteger(`${name}.port`, port, 0, 65535) };
}
