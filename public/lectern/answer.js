// Writes one answer into its turn, event by event, and through lost connections.

import { Failure, call } from './api.js';
import { events } from './events.js';

/** How long to wait before each attempt to go on, in seconds. An event in between starts anew. */
const WAITS = [0.5, 1, 2, 4, 8, 8];
/** After so many streams in a row that end well and bring nothing, nothing more will come. */
const EMPTY_STREAMS = 3;

/**
 * Follows an answer to its end. `open` gives the response that begins it; when the connection is lost the
 * rest is taken from the answer's journal on the server. `changed` is called after each change of `turn`.
 * A turn knows its `id` and the place `at` which it stands, so that another page can go on with it.
 */
export async function follow(turn, open, { signal, changed }) {
  let attempts = 0;
  let empty = 0;
  for (;;) {
    let isEmpty = true;
    try {
      const response = await open();
      if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
        throw new Failure('This page cannot read the server’s answer.', { status: response.status });
      }
      turn.id = response.headers.get('x-message-id') ?? turn.id;
      turn.keptIn = response.headers.get('x-conversation-id') ?? undefined;
      changed();
      for await (const { id, data } of events(response.body)) {
        const event = JSON.parse(data);
        attempts = 0;
        isEmpty = false;
        turn.isLost = false;
        write(turn, event, id);
        if (event.status === 'success') return;
        changed();
      }
      empty = isEmpty ? empty + 1 : 0;
      if (empty === EMPTY_STREAMS) throw brokeOff();
    } catch (error) {
      // What the server said is final, unless a front door said it while we were trying to go on.
      const isFinal = error instanceof Failure && (error.status ? error.status < 500 : error.code);
      if (error.name === 'AbortError' || isFinal || !turn.id) throw error;
    }
    if (!turn.id || attempts === WAITS.length) {
      throw new Failure('The connection was lost before the end of the answer.', { isLost: Boolean(turn.id) });
    }
    turn.isLost = true;
    changed();
    await pause(WAITS[attempts], signal);
    attempts += 1;
    open = () => resume(turn, signal);
  }
}

/** What came after the place at which the turn stands; all of it for one that knows no place. */
export async function resume(turn, signal) {
  turn.at ||= undefined; // what comes then is the whole text, and takes the place of what is there
  try {
    return await call('GET', `chat/runs/${turn.id}`, { signal, headers: turn.at ? { 'Last-Event-ID': turn.at } : {} });
  } catch (error) {
    if (error.status !== 404) throw error;
    throw brokeOff();
  }
}

/** Nobody writes this answer any more: only a new one can be had. */
const brokeOff = () => new Failure('The answer broke off.', { code: 'interrupted' });

function write(turn, event, id) {
  const { content, status } = event;
  if (status === 'error') {
    throw new Failure(content || 'The answer broke off.', { code: event.code ?? 'failed', retry: event.retryable !== false });
  }
  turn.answer = status === 'partial' && turn.at !== undefined ? turn.answer + content : content;
  turn.at = id ?? ''; // a server that keeps no journal names no places
  if (status !== 'success') return;
  const { sources = [], degraded = [], refused, unsupported, saved, message_id } = event;
  Object.assign(turn, { sources, degraded, refused, unsupported, saved, keptIn: event.conversation_id });
  turn.id = message_id ?? turn.id;
  turn.state = event.stopped ? 'stopped' : 'done';
}

/** Waits; shorter when the network comes back. Many readers of one server do not return all at once. */
function pause(seconds, signal) {
  return new Promise((done, fail) => {
    const end = (finish) => (event) => {
      clearTimeout(timer);
      removeEventListener('online', onOnline);
      signal.removeEventListener('abort', onAbort);
      finish(event);
    };
    const [onOnline, onAbort] = [end(done), end(() => fail(signal.reason))];
    const timer = setTimeout(onOnline, seconds * (500 + 500 * Math.random()));
    addEventListener('online', onOnline);
    signal.addEventListener('abort', onAbort);
  });
}
