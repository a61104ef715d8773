/** The pods' network -> the rules that flanneld keeps on a node: what leaves the pods' network bears the node's address. */
import { type Family, familyOf, type Prefix } from '../../model/address.ts';

const MULTICAST: Record<Family, string> = { 4: '224.0.0.0/4', 6: 'ff00::/8' };

/** For iptables-restore. @param network of all pods @param own subnet of the node's */
export function flannelRules(network: Prefix, own: Prefix): string {
  return [
    '*nat',
    ':FLANNEL-POSTRTG - [0:0]',
    '-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG',
    '-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN',
    `-A FLANNEL-POSTRTG -s ${network} -d ${network} -j RETURN`,
    `-A FLANNEL-POSTRTG -d ${own} -j RETURN`,
    `-A FLANNEL-POSTRTG -s ${network} ! -d ${MULTICAST[familyOf(network)]} -j MASQUERADE --random-fully`,
    'COMMIT',
    '*filter',
    ':FLANNEL-FWD - [0:0]',
    '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
    `-A FLANNEL-FWD -s ${network} -j ACCEPT`,
    `-A FLANNEL-FWD -d ${network} -j ACCEPT`,
    'COMMIT',
    '',
  ].join('\n');
}
