// The question box: one button that asks or stops, and the text that a question is about.

import * as conversation from './conversation.js';
import { $, announce, hear, on } from './dom.js';
import { memory } from './memory.js';

const LONGEST = 4000; // characters of a question, the server's limit
const box = $('question');

/** The text that the next question is about: `{ selection, page }`. */
let about = null;

/** The box grows with its text, which a reload does not lose; near the limit it counts. */
function fit() {
  memory.draft = box.value;
  box.style.height = 'auto';
  box.style.height = `${box.scrollHeight}px`;
  const length = [...box.value.trim()].length;
  $('count').textContent = length > LONGEST * 0.9 ? `${length} of ${LONGEST} characters` : '';
  $('count').classList.toggle('over', length > LONGEST);
  const cannotAsk = length === 0 || length > LONGEST;
  $('send').disabled = conversation.isRunning() ? conversation.isStopping() : cannotAsk;
}

function draw() {
  // One button for both, so that the focus stays where it is when its meaning changes.
  const isRunning = conversation.isRunning();
  $('send').textContent = isRunning ? 'Stop' : 'Ask';
  $('send').classList.toggle('stop', isRunning);
  fit();
}

function submit() {
  if (conversation.isRunning() || $('send').disabled) return;
  const question = box.value.trim();
  const what = about ?? undefined;
  box.value = '';
  setAbout(null);
  conversation.ask(question, what);
}

function setAbout(what) {
  about = what;
  $('about').hidden = !what;
  $('about-text').textContent = what?.selection ?? '';
  $('about-page').textContent = what?.page ?? '';
  box.placeholder = what ? 'Ask about this text' : 'Ask about the book';
}

export function listen() {
  box.value = memory.draft;
  on('composer', 'submit', (event) => event.preventDefault());
  on('send', 'click', (event) => {
    if (!conversation.isRunning()) submit();
    else if (event.detail < 2) conversation.stop(); // the second half of a double click on "Ask" is no "Stop"
  });
  on('question', 'input', fit);
  on('question', 'keydown', (event) => {
    // While an input method composes, Enter chooses a word (229 is how Safari says so).
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  });
  on('about-drop', 'click', () => {
    setAbout(null);
    box.focus();
  });
  document.addEventListener('keydown', (event) => {
    if (document.querySelector('dialog[open]') || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
    if (event.key === 'Escape' && conversation.isRunning()) {
      event.preventDefault();
      conversation.stop();
    }
    if (event.key === '/' && !/^(INPUT|TEXTAREA)$/.test(event.target.tagName)) {
      event.preventDefault();
      box.focus();
    }
  });
  addEventListener('resize', fit);
  hear('turns', draw);
  // A question that could not be asked comes back, unless another one is being typed.
  hear('back', (question) => {
    if (!box.value.trim()) box.value = question;
    fit();
  });
  hear('about', (what) => {
    setAbout(what);
    announce('Your question will be about the selected text.');
    box.focus();
  });
}
