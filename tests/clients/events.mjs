// @microsoft/fetch-event-source with our own protocol against a running Lectern: events.mjs WHOLE BROKEN SLOW
import assert from 'node:assert/strict';
import { QUESTION, eventSource, simple, tell } from './story.mjs';

const fetchEventSource = await eventSource();
const [whole, broken, slow] = process.argv.slice(2);

/** The events of an answer, of which only so many are wanted. */
async function events(base, { from, most = Infinity, ids = [] } = {}) {
  const found = [];
  const connection = new AbortController();
  await fetchEventSource(`${base}/api/v1/chat/stream`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(from && { 'last-event-id': from }) },
    body: JSON.stringify({ message: { content: QUESTION } }),
    openWhenHidden: true,
    signal: connection.signal,
    onmessage: ({ data, event, id }) => {
      assert.equal(event, '');
      if (id) ids.push(id); // the last one has none: who comes back is told it in any case
      found.push(JSON.parse(data));
      if (found.length === most) connection.abort();
    },
    onerror: (error) => {
      throw error;
    },
  });
  return found;
}

const text = (partial) => partial.map(({ content }) => content).join('');

await tell('fetch-event-source', {
  'the pieces are the whole': async () => {
    const answer = await simple(whole);
    const found = await events(whole);
    const last = found.pop();
    assert(found.length > 1 && found.every(({ status }) => status === 'partial'));
    assert.deepEqual([text(found), last.content, last.status], [answer.content, answer.content, 'success']);
    assert.deepEqual(last.sources, answer.sources);
  },

  'a connection that was lost is taken up where it was': async () => {
    const ids = [];
    const begun = await events(slow, { most: 1, ids });
    const rest = await events(slow, { from: ids.at(-1), ids });
    const last = rest.pop();
    assert.equal(text(begun) + text(rest), last.content);
    assert(begun.length === 1 && rest.length > 0 && last.status === 'success');
    const [answers, numbers] = [0, 1].map((at) => ids.map((id) => id.split(':')[at]));
    assert.deepEqual(new Set(answers), new Set([last.message_id]));
    assert(numbers.every((n, at) => at === 0 || Number(n) === Number(numbers[at - 1]) + 1), numbers.join());
  },

  'an answer that breaks off says so': async () => {
    const found = await events(broken);
    const last = found.pop();
    assert.deepEqual([last.status, last.code, last.retryable], ['error', 'unavailable', true]);
    assert(text(found).startsWith('It begins well [1]'));
  },
});
