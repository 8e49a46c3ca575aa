// The turns of a conversation that the server keeps, and what only this tab knows of them.

const STATES = {
  complete: { state: 'done' },
  stopped: { state: 'stopped' },
  running: { state: 'running' },
  interrupted: { state: 'failed', failure: { text: 'The answer broke off.', retry: true } },
};
const UNANSWERED = { answer: '', state: 'failed', failure: { text: 'This question got no answer.', retry: true } };

/** What the server does not keep stays in its place: what was asked before signing in, failed, or is not saved yet. */
export function mergedTurns(conversation, known) {
  const turns = turnsOf(conversation, known);
  // A question that seemed to fail may have reached the server.
  const hasCome = ({ question }) => turns.some((it) => it.question === question && !known.includes(it));
  const isLost = (it) => it.state === 'failed' && !hasCome(it);
  known.forEach((it, i) => {
    if (turns.includes(it) || !(it.isGuests || it.state === 'running' || it.saved === false || isLost(it))) return;
    const before = turns.indexOf(known[i - 1]);
    turns.splice(i && before < 0 ? turns.length : before + 1, 0, it);
  });
  return turns;
}

/** A turn that is known already stays the same object, with what was said of it when it came. */
function turnsOf({ id, messages }, known) {
  const turns = [];
  for (const { role, status, content, ...message } of messages) {
    if (role === 'user') {
      turns.push({ question: content, ...UNANSWERED });
      continue;
    }
    // An answer without a question before it comes from an older system.
    const { question = '' } = turns.at(-1)?.id ? {} : (turns.pop() ?? {});
    const turn = known.find((it) => it.id === message.id) ?? { id: message.id };
    const { sources, feedback } = message;
    Object.assign(turn, { question, answer: content, sources, feedback, keptIn: id, failure: undefined, at: undefined });
    turns.push(Object.assign(turn, STATES[status] ?? STATES.complete));
  }
  return turns;
}
