/** Run by trial.ts in namespaces of its own: tries each thing by doing it, and prints what came of it as JSON. */
import { BPF_OBJECT } from '../commands/options.ts';
import { loadObject } from '../dataplane/bpf/object.ts';
import { makeCandidates } from '../dataplane/candidates.ts';
import type { Candidate } from '../dataplane/select.ts';
import { attachTc, BpfMap } from '../native.ts';
import type { Attempt, Trial } from './trial.ts';

const DIRECTORY = '/sys/fs/bpf/selvedge';
/** BPF_F_NO_PREALLOC, without which there are no LPM maps. */
const NO_PREALLOC = 1;

let mode: Trial['mode'];
const candidates = makeCandidates({
  bpf: { path: BPF_OBJECT, directory: DIRECTORY },
  // Nobody else has rules here: which variant the node uses is another check's.
  ipset: { auditEvery: 0, variant: 'nft' },
  attach: (program, options) => {
    const link = attachTc(program, options);
    mode = link.mode;
    return link;
  },
});

const bpf = await attempt(() => open(candidates.bpf));
const trial: Trial = {
  bpf,
  ipset: await attempt(() => open(candidates.ipset)),
  ringBuffer: await attempt(async () => make({ type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 })),
  lpm: await attempt(async () =>
    make({ type: 'lpm_trie', keySize: 8, valueSize: 4, maxEntries: 1, flags: NO_PREALLOC }),
  ),
  ...(mode !== undefined && { mode }),
  ...(bpf.works && { conntrack: asksConntrack() }),
};
process.stdout.write(JSON.stringify(trial));

async function open(candidate: Candidate): Promise<string> {
  const { dataplane, detail = '' } = await candidate.open();
  dataplane.close();
  return detail;
}

async function make(options: Parameters<typeof BpfMap.create>[0]): Promise<string> {
  BpfMap.create(options).close();
  return 'can be made';
}

function asksConntrack(): boolean {
  try {
    loadObject({ path: BPF_OBJECT, constants: { conntrack: true } }, () => {}).object.close();
    return true;
  } catch {
    return false;
  }
}

/** Its first line: a verifier may have said much more. */
async function attempt(tried: () => Promise<string>): Promise<Attempt> {
  try {
    return { works: true, words: await tried() };
  } catch (error) {
    return { works: false, words: ((error as Error).message.split('\n', 1)[0] ?? '').trim() };
  }
}
