// flock(2), which node:fs does not have.
import { addon } from './addon.js';
import { checkFd } from './check.js';

export function tryLock(fd) {
  return addon.tryLock(checkFd(fd));
}
