// The file system in which BPF objects are pinned.
import { mkdirSync } from 'node:fs';
import { addon } from './addon.js';
import { checkString } from './check.js';

export function isBpffs(path) {
  return addon.isBpffs(checkString('path', path));
}

export function mountBpffs(path) {
  checkString('path', path);
  if (isBpffs(path)) return false;
  mkdirSync(path, { recursive: true });
  addon.mountBpffs(path);
  return true;
}
