// The open conversation: asking, stopping, trying again, going on after a reload, and opening another one.

import { follow, resume } from './answer.js';
import { EXPIRED, Failure, call } from './api.js';
import * as address from './address.js';
import { announce, hear, tell } from './dom.js';
import { mergedTurns } from './kept.js';
import { memory, remember } from './memory.js';

/** What the server takes of a guest's earlier turns: messages, and characters of all of them. */
const HISTORY = { turns: 10, characters: 8000 };
/** How long a reader who stopped waits for the server to agree. */
const PATIENCE_MS = 3000;

/** The answer that is being written: its turn, and whether the reader wants it to stop. */
let running = null;

export const isRunning = () => Boolean(running);
export const isStopping = () => Boolean(running?.isStopping);

/**
 * Asks a question, about a text that the reader selected if there is one. A turn is
 * `{ question, selection, page, id, answer, state, … }`; its state is `running`, `done`, `stopped` or `failed`.
 */
export function ask(question, { selection, page } = {}) {
  if (running || isExpired(question)) return;
  if (!memory.conversation.id) address.show(null, { instead: true }); // a guest's, at the address of somebody's
  const turn = { question, selection, page, answer: '', state: 'running', isGuests: !memory.reader };
  memory.conversation.turns.push(turn);
  return run(turn, (signal) => send(turn, signal));
}

/** Once more, in the place of the last turn: the rest of an answer that we lost; a new one if there is no rest. */
export async function retry(turn) {
  const { turns } = memory.conversation;
  if (running || turn !== turns.at(-1) || isExpired(turn.question)) return;
  if (turn.failure?.isLost) {
    await goOn(turn);
    if (turn.failure?.code === 'interrupted') retry(turn);
    return;
  }
  const { question, selection, page } = turn;
  const next = { question, selection, page, answer: '', state: 'running', isGuests: !memory.reader };
  turns.splice(-1, 1, next);
  return run(next, (signal) => send(next, signal, true));
}

/** Takes an answer up again that is being written on the server. */
function goOn(turn) {
  Object.assign(turn, { state: 'running', failure: undefined });
  return run(turn, (signal) => resume(turn, signal));
}

/** A reader whose token ran out is never quietly a guest, who would get another conversation. */
function isExpired(question) {
  if (!memory.reader || memory.reader.token) return false;
  tell('back', question);
  tell('sign', EXPIRED);
  return true;
}

async function send({ question, selection }, signal, again) {
  const here = memory.conversation;
  const { id } = here;
  const metadata = selection ? { context: 'selected-text', selected_text: selection } : undefined;
  const own = memory.reader ? { conversation_id: id, retry: again } : { history: history() };
  try {
    return await call('POST', 'chat/stream', { signal, body: { message: { content: question, metadata }, ...own } });
  } catch (error) {
    // Of a conversation that had only begun a server that died may have kept nothing: nothing is lost with it.
    if (error.status !== 404 || !own.conversation_id || here.turns.length > 1 || here !== memory.conversation) throw error;
    here.id = undefined;
    address.show(null, { instead: true });
    return send({ question, selection }, signal);
  }
}

/** A guest's newest exchanges that fit the limits, oldest first. A "turn" is taken to be one message. */
function history() {
  const messages = [];
  let room = HISTORY.characters;
  for (const it of memory.conversation.turns.slice(0, -1).reverse()) {
    if (!it.answer || it.state === 'failed') continue;
    // The last answer, which a follow-up leans on, is rather cut than left out.
    const answer = [...it.answer];
    if (!messages.length) answer.splice(room - [...it.question].length);
    room -= [...it.question].length + answer.length;
    if (room < 0 || messages.length + 2 > HISTORY.turns) break;
    messages.unshift({ role: 'user', content: it.question }, { role: 'assistant', content: answer.join('') });
  }
  return messages;
}

async function run(turn, open) {
  const here = memory.conversation; // another may take its place before the answer is there
  const controller = new AbortController();
  const me = { turn, controller };
  running = me;
  if (memory.reader) here.owner = memory.reader.user_id;
  delete here.trouble;
  tell('turns');
  remember();
  announce('Looking in the book.');
  const changed = () => {
    if (running !== me) return;
    if (!me.isNamed && turn.id) remember(); // a page that ends without a word finds its answer, too
    me.isNamed = Boolean(turn.id);
    passStop(me);
    tell('turn', turn);
  };
  try {
    await follow(turn, () => open(controller.signal), { signal: controller.signal, changed });
  } catch (error) {
    if (running === me) fail(error, turn, here);
  }
  if (memory.reader) tell('kept');
  if (running !== me) return;
  running = null;
  turn.isLost = false;
  // What ended without a word is kept nowhere.
  if (turn.keptIn && turn.answer && here.id !== turn.keptIn) {
    here.id = turn.keptIn;
    address.show(here.id, { instead: true });
  }
  tell('turns', turn);
  remember();
}

function fail(error, turn, here) {
  if (error.name === 'AbortError') {
    turn.state = 'stopped';
    return;
  }
  turn.state = 'failed';
  turn.failure = { text: error.message, retry: error.retry, reference: error.reference, code: error.code, isLost: error.isLost };
  if (error.status === 401) {
    here.turns.pop(); // the question goes back where it can be sent from
    tell('back', turn.question);
    tell('sign', memory.reader ? EXPIRED : 'This book answers readers who are signed in. Your question is kept.');
  } else if (error.status === 404 && here.id && !error.code) {
    here.id = undefined; // deleted, or one too many for the server to keep
    address.show(null, { instead: true });
    Object.assign(turn.failure, { text: 'The server no longer keeps this conversation. Try again to begin a new one.', retry: true });
  } else if (!turn.failure.retry && !turn.answer) {
    tell('back', turn.question); // to be changed and sent again
  }
  announce(turn.failure.text);
}

/** Asks the server to stop. When it does not agree in time the page stops listening by itself. */
export function stop() {
  if (!running || running.isStopping) return;
  const me = running;
  me.isStopping = true;
  passStop(me);
  setTimeout(() => me.controller.abort(), PATIENCE_MS);
  tell('turns');
}

function passStop(me) {
  if (!me.isStopping || me.isPassed || !me.turn.id) return;
  me.isPassed = true;
  call('POST', `chat/runs/${me.turn.id}/stop`).catch(() => me.controller.abort());
}

/** Leaves the conversation. A reader finds it in the history, where its answer is written to the end. */
function leave() {
  if (running && !memory.reader) {
    stop();
    running.controller.abort();
  }
  running = null;
}

/** An empty conversation takes the place of this one. */
export function begin() {
  leave();
  memory.conversation = { turns: [] };
  address.show(null);
  tell('turns');
  remember();
}

/** A conversation of the reader's history takes the place of this one. */
export async function open(id) {
  if (memory.conversation.id !== id) {
    leave();
    memory.conversation = { id, owner: memory.reader.user_id, turns: [], isComing: true };
    tell('turns');
  }
  const here = memory.conversation;
  try {
    const whole = await (await call('GET', `conversations/${id}`)).json();
    if (memory.conversation !== here || running) return;
    here.turns = mergedTurns(whole, here.turns);
    delete here.trouble;
  } catch (error) {
    if (memory.conversation !== here) return;
    if (error.status === 401) tell('sign', 'Sign in again to open this conversation.');
    if (error.status === 404) {
      here.turns = mergedTurns({ id, messages: [] }, here.turns);
      here.id = undefined;
      address.show(null, { instead: true });
    }
    here.trouble = error.status === 404 ? 'There is no such conversation any more.' : error.message;
  }
  delete here.isComing;
  tell('turns');
  remember();
  goOnIfRunning();
}

/** After a reload: the answer that was being written is taken up again. */
export function goOnIfRunning() {
  const turn = memory.conversation.turns.at(-1);
  if (running || turn?.state !== 'running') return;
  if (turn.id) return goOn(turn);
  // The page went away before the server had answered at all.
  Object.assign(turn, { state: 'failed', failure: { text: 'The page was left before the answer began.', retry: true } });
  tell('turns');
}

/** Rates the answer of a turn that the server keeps: `positive`, `negative`, or null to take it back. */
export async function rate(turn, kind, reason) {
  const before = turn.feedback;
  turn.feedback = kind && { kind, reason: reason ?? null };
  try {
    await call('POST', `conversations/${turn.keptIn}/messages/${turn.id}/feedback`, { body: { kind, reason }, keepalive: true });
  } catch (error) {
    turn.feedback = before;
    throw error instanceof Failure ? error : new Failure('Your opinion could not be kept.');
  } finally {
    remember();
  }
}

// A reader who comes back from a tunnel need not ask for the rest of the answer.
addEventListener('online', () => {
  const turn = memory.conversation.turns.at(-1);
  if (!running && turn?.failure?.isLost) goOn(turn);
});

hear('reader', () => {
  // What was somebody else's goes; a guest's conversation stays on the screen.
  const { owner } = memory.conversation;
  if (owner && owner !== memory.reader?.user_id) begin();
});
