// Network namespaces of the calling thread, by name (as `ip netns` has them) or path.
import { statSync } from 'node:fs';
import { addon } from './addon.js';
import { checkFunction, checkString } from './check.js';

export function pathOf(nameOrPath) {
  checkString('network namespace', nameOrPath);
  return nameOrPath.includes('/') ? nameOrPath : `/run/netns/${nameOrPath}`;
}

export function run(nameOrPath, fn) {
  checkFunction('fn', fn);
  const result = addon.netnsRun(pathOf(nameOrPath), () => fn());
  if (typeof result?.then === 'function') {
    result.then(undefined, () => {}); // its outcome is nobody's: the TypeError tells
    throw new TypeError('fn: expected a synchronous function, but it returned a promise');
  }
  return result;
}

export function enter(nameOrPath) {
  addon.netnsEnter(pathOf(nameOrPath));
}

export function inode(nameOrPath) {
  return statSync(nameOrPath === undefined ? '/proc/thread-self/ns/net' : pathOf(nameOrPath)).ino;
}
