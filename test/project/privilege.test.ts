import { expect, test } from 'vitest';
import { missingPrivilege } from '../support/privilege.ts';

const statusWith = (effective: string): string => `Name:\tnode\nCapInh:\t0000000000000000\nCapEff:\t${effective}\n`;

test('root has all that kernel tests need', () => {
  expect(missingPrivilege(statusWith('000001ffffffffff'))).toBeUndefined();
});

test('a user without capabilities is told which are missing', () => {
  expect(missingPrivilege(statusWith('0000000000000000'))).toBe('needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN)');
});

test('root in a container without SYS_ADMIN is told so', () => {
  expect(missingPrivilege(statusWith('00000000a80435fb'))).toBe('needs root (CAP_SYS_ADMIN)');
});
