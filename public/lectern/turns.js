// Draws the open conversation: questions, answers as they are written, and what is to be said about them.

import * as conversation from './conversation.js';
import { asText, copy, copyButton } from './copy.js';
import { $, announce, arrange, hear, make, makeButton } from './dom.js';
import { markdown } from './markdown.js';
import { memory } from './memory.js';
import { drawRating } from './rating.js';
import { drawSources } from './sources.js';

const DEGRADED = {
  llm: 'The language model is away. These are the book’s own passages, word for word.',
  embeddings: 'Search by meaning is away. Passages were found by their words alone.',
  qdrant: 'The search service is away. A copy of the book that travels with this site was searched.',
  database: 'The database is away. Earlier questions were not taken into account.',
  reranker: 'The service that puts passages in order is away. They stand in the book search’s own order.',
  daily_answers: 'Today’s answers by the language model are used up. These are the book’s own passages, word for word.',
};

/** A turn keeps its elements, so that drawing it again takes no focus and no selection. */
const drawn = new WeakMap();

const TITLE = document.title;
let wasComing = false;

function draw() {
  const { turns, isComing, trouble } = memory.conversation;
  document.title = turns[0]?.question ? `${turns[0].question.slice(0, 80)} · ${TITLE}` : TITLE;
  $('welcome').hidden = turns.length > 0 || isComing;
  $('coming').hidden = !isComing || turns.length > 0;
  $('trouble').hidden = !trouble;
  $('trouble').textContent = trouble ?? '';
  $('new').hidden = !turns.length;
  arrange($('turns'), turns.map(drawTurn));
  if (conversation.isRunning() || (wasComing && !isComing)) scroll();
  wasComing = isComing;
}

function drawTurn(turn) {
  const parts = drawn.get(turn) ?? begin(turn);
  drawAnswer(turn, parts);
  const { answer, feedback, at, ...facts } = turn;
  const look = JSON.stringify([facts, !answer, conversation.isStopping()]);
  if (parts.look !== look) {
    parts.look = look;
    parts.foot.replaceChildren(...drawNotes(turn), ...(turn.sources?.length ? [drawSources(turn.sources)] : []));
    if (turn.state === 'failed' || turn.state === 'stopped') parts.foot.append(drawFailure(turn));
    parts.rating.replaceChildren(...drawCopy(turn), ...drawRating(turn));
  }
  return parts.article;
}

function begin(turn) {
  const article = make('article', { class: 'turn' });
  const parts = { article, answer: make('div', { class: 'a' }), foot: make('div'), rating: make('div', { class: 'rating' }) };
  if (turn.question) article.append(make('h2', { class: 'q', dir: 'auto' }, turn.question));
  if (turn.selection) article.append(make('blockquote', { class: 'selected', dir: 'auto' }, turn.selection));
  article.append(parts.answer, parts.foot, parts.rating);
  parts.answer.addEventListener('click', ({ target }) => {
    const button = target.closest('button');
    if (button?.matches('.copy')) copy(button.previousSibling.textContent, button);
    if (button?.matches('.cite')) lead(parts.foot.querySelector(`[data-n="${button.dataset.cite}"]`));
  });
  drawn.set(turn, parts);
  return parts;
}

/** From a mark to its source. */
function lead(source) {
  source.focus();
  source.closest('li').scrollIntoView({ block: 'nearest' });
}

/** Draws the answer as far as it is there. */
function drawAnswer(turn, { answer: element }) {
  const sources = new Map((turn.sources ?? []).map((it) => [String(it.n), it]));
  const cite = (n) => {
    const source = sources.get(n);
    if (!source) return turn.state === 'done' ? `[${n}]` : make('sup', { class: 'cite' }, n); // its sources come last
    return make('button', { type: 'button', class: 'cite', 'data-cite': n, 'aria-label': `Source ${n}: ${source.title ?? ''}` }, n);
  };
  become(element, markdown(turn.answer, cite));
  element.classList.toggle('busy', turn.state === 'running');
}

/**
 * Gives `element` the children of `next`. What is there already stays the same node and only grows: the
 * reader's selection, the focus and how far a code is scrolled live in it.
 */
function become(element, next) {
  const was = [...element.childNodes];
  const now = [...next.childNodes];
  for (const [i, it] of now.entries()) {
    const old = was[i];
    if (!old) element.append(it);
    else if (old.isEqualNode(it)) continue;
    else if (old.nodeName !== it.nodeName) old.replaceWith(it);
    else if (old.nodeType === Node.TEXT_NODE) {
      if (it.data.startsWith(old.data)) old.appendData(it.data.slice(old.length));
      else old.data = it.data;
    } else {
      for (const { name } of [...old.attributes]) if (!it.hasAttribute(name)) old.removeAttribute(name);
      for (const { name, value } of it.attributes) old.setAttribute(name, value);
      become(old, it);
    }
  }
  for (const old of was.slice(now.length)) old.remove();
}

function drawNotes(turn) {
  const notes = [];
  const note = (look, text) => notes.push(make('p', { class: `note ${look}` }, text));
  const isRunning = turn.state === 'running';
  if (isRunning && turn.isLost) note('lost', 'The connection was lost. Trying to go on …');
  else if (isRunning && !turn.answer) notes.push(make('p', { class: 'waiting' }, conversation.isStopping() ? 'Stopping' : 'Looking in the book'));
  if (turn.state === 'stopped') note('stopped', turn.answer ? 'Stopped here. What was written so far is kept.' : 'Stopped before the answer began.');
  if (turn.refused) note('refused', 'The book does not answer this.');
  if (turn.unsupported && turn.state === 'done') note('warn', 'No passage of the book supports this answer. Check it before you rely on it.');
  for (const word of turn.degraded ?? []) note('warn', DEGRADED[word] ?? `Part of the service is away (${word}).`);
  if (turn.saved === false) note('warn', 'This exchange is not in your saved conversations yet.');
  return notes;
}

/** The whole answer for the clipboard, once it is there. */
function drawCopy(turn) {
  if (turn.state === 'running' || !turn.answer) return [];
  const buttons = copyButton('Copy the answer');
  for (const it of buttons) it.addEventListener('click', () => copy(asText(turn), it));
  return buttons;
}

function drawFailure(turn) {
  const { text, retry = true, reference } = turn.failure ?? {};
  const again = makeButton('quiet retry', 'Try again', () => {
    $('question').focus(); // this button goes away
    conversation.retry(turn);
  });
  if (!turn.failure) return again;
  const told = make('div', { class: 'failure' }, text);
  if (reference) told.append(make('small', {}, `Reference ${reference}`));
  if (retry) told.append(again);
  return told;
}

let frame = 0;
/** At most once a frame. */
function drawSoon(turn) {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    if (!memory.conversation.turns.includes(turn)) return;
    drawTurn(turn);
    if (conversation.isRunning()) scroll();
  });
}

let followed; // the turn that we scroll to, until the reader scrolls
/** Brings the last question to the top and leaves it there, so that its answer grows without moving. */
function scroll() {
  const turn = $('turns').lastElementChild;
  if (!turn || (turn === followed && isTaken)) return;
  followed = turn;
  isTaken = false;
  const header = document.querySelector('header');
  const covered = getComputedStyle(header).position === 'sticky' ? header.offsetHeight : 0; // not in a very low window
  const top = turn.getBoundingClientRect().top + scrollY - covered - 16;
  scrollTo(0, top); // the browser goes no further than the end
}

let isTaken = false;
/** Where the page stands says nothing: it moves by itself when something in it becomes shorter. */
function takeOver({ type, key, target }) {
  if (type === 'keydown' && (!/^(Page|Arrow|Home|End)/.test(key) || target.matches('input, textarea'))) return;
  if (type === 'pointerdown' && target !== document.documentElement) return; // the scroll bar
  isTaken = true;
}

/** Screen readers hear the whole answer once, when it is there. */
function say(turn) {
  if (turn.state === 'stopped') announce('Stopped.');
  if (turn.state !== 'done') return;
  announce(`${markdown(turn.answer, () => '').textContent} Sources: ${turn.sources.length || 'none'}.`);
}

export function listen() {
  hear('turns', (ended) => {
    draw();
    if (!ended) return;
    scroll();
    say(ended);
  });
  hear('turn', drawSoon);
  for (const sign of ['wheel', 'touchmove', 'keydown', 'pointerdown']) addEventListener(sign, takeOver, { passive: true });
  hear('reader', draw);
}
