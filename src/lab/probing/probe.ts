/**
 * One question to the network: does a packet from here get there, by a real connection. An answer or a refusal says yes,
 * silence says no, and anything else, no route say, is an error: it is nobody's verdict.
 */
import type { Protocol } from '../../model/cluster.ts';
import type { Attempt, Probe, ProbeOutcome, Settle } from './probe-attempt.ts';
import { initiate } from './sctp-attempt.ts';
import { connect } from './tcp-attempt.ts';
import { askByDatagram } from './udp-attempt.ts';

/**
 * Milliseconds. The kernel repeats a SYN after a second only, so TCP is tried again with a new connection each time.
 * Silence lasts until nothing has come for `silence` after the start.
 */
const TIMES: Record<Protocol, { readonly repeat: number; readonly silence: number }> = {
  TCP: { repeat: 350, silence: 1_000 },
  UDP: { repeat: 150, silence: 900 },
  SCTP: { repeat: 150, silence: 900 },
};

/** Never rejects. */
export function probe(question: Probe): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const attempts: Attempt[] = [];
    const { repeat, silence } = TIMES[question.protocol];
    let settled = false;
    const settle: Settle = (outcome) => {
      if (settled) return;
      settled = true;
      clearInterval(again);
      clearTimeout(deadline);
      for (const attempt of attempts) attempt.close();
      resolve(outcome);
    };
    const ask = () => {
      try {
        if (question.protocol === 'TCP' || attempts[0] === undefined) attempts.push(attempt(question, settle));
        else attempts[0].repeat();
      } catch (error) {
        settle({ verdict: 'error', reason: (error as Error).message });
      }
    };
    const again = setInterval(ask, repeat);
    const deadline = setTimeout(() => afterPoll(() => settle(silent(attempts))), silence);
    ask();
  });
}

function attempt(question: Probe, settle: Settle): Attempt {
  if (question.protocol === 'TCP') return connect(question, settle);
  return question.protocol === 'UDP' ? askByDatagram(question, settle) : initiate(question, settle);
}

function silent(attempts: readonly Attempt[]): ProbeOutcome {
  if (!attempts.some(({ connected }) => connected)) return { verdict: 'deny' };
  return { verdict: 'error', reason: 'connected, but no answer followed' };
}

/** Timers run before sockets are looked at: in a busy process the answer may be there already when the time is up. */
function afterPoll(then: () => void): void {
  setImmediate(() => setImmediate(then));
}
