// The turns of a conversation that the server keeps, and what only this tab knows of them.

const STATES = {
  complete: { state: 'done' },
  stopped: { state: 'stopped' },
  running: { state: 'running' },
  interrupted: { state: 'failed', failure: { text: 'The answer broke off.', retry: true } },
};
const UNANSWERED = { answer: '', state: 'failed', failure: { text: 'This question got no answer.', retry: true } };

/** What the server does not keep stays: what was asked before signing in, and what it has not kept yet. */
export function mergedTurns(conversation, known) {
  const kept = turnsOf(conversation, known);
  const isNew = (it) => it.state === 'running' && !kept.includes(it);
  return [...known.filter((it) => it.isGuests), ...kept, ...known.filter((it) => !it.isGuests && isNew(it))];
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
