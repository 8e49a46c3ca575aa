// What the reader thinks of an answer: thumbs up or down, and why not.

import * as conversation from './conversation.js';
import { announce, make, makeButton, makeIcon } from './dom.js';
import { memory } from './memory.js';

const THUMB = 'M7 21V11l4-8c1.4 0 2.4 1 2.4 2.4V9h4.8a2 2 0 0 1 2 2.4l-1.4 7.6a2 2 0 0 1-2 1.6H7zm0-10H3.5v10H7';
const LONGEST = 1000; // characters of a reason, the server's limit

/** The elements below an answer that the server keeps for this reader; none below another. */
export function drawRating(turn) {
  const isKept = turn.keptIn && turn.saved !== false && !turn.isGuests && memory.reader;
  if (!isKept || turn.state === 'running' || !turn.id || !turn.answer) return [];
  const trouble = make('p', { class: 'error-text', role: 'alert' });
  const thumbs = [['positive', 'Good answer'], ['negative', 'Bad answer']].map(([kind, label]) => {
    const thumb = makeButton(`quiet icon ${kind}`, makeIcon(THUMB), () => set(turn.feedback?.kind === kind ? null : kind));
    thumb.ariaLabel = thumb.title = label;
    return [kind, thumb];
  });
  const reason = make('input', { type: 'text', maxlength: LONGEST, 'aria-label': 'What was wrong?', placeholder: 'What was wrong? (optional)' });
  const why = make('form', { class: 'why-not' }, reason, make('button', { class: 'quiet' }, 'Send'));
  const thanks = make('p', { class: 'thanks' });
  why.addEventListener('submit', (event) => {
    event.preventDefault();
    set('negative', reason.value.trim() || undefined);
  });

  function show() {
    const { kind, reason: said } = turn.feedback ?? {};
    for (const [name, thumb] of thumbs) thumb.ariaPressed = String(name === kind);
    why.hidden = kind !== 'negative' || Boolean(said);
    thanks.hidden = !said;
    thanks.textContent = `You said: ${said}`;
  }
  async function set(kind, text) {
    trouble.textContent = '';
    const rated = conversation.rate(turn, kind, text);
    show();
    if (kind === 'negative' && !text) reason.focus();
    try {
      await rated;
      announce(kind ? 'Thank you.' : 'Taken back.');
    } catch (error) {
      trouble.textContent = error.message;
      show();
    }
  }
  show();
  return [...thumbs.map(([, thumb]) => thumb), why, thanks, trouble];
}
