// @microsoft/fetch-event-source with our own protocol against a running Lectern: events.mjs WHOLE BROKEN
import assert from 'node:assert/strict';
import { QUESTION, simple, tell } from './story.mjs';

// It looks at the page's visibility, and there is no page here.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = await import('@microsoft/fetch-event-source');

const [whole, broken] = process.argv.slice(2);

async function events(base) {
  const found = [];
  await fetchEventSource(`${base}/api/v1/chat/stream`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ message: { content: QUESTION } }),
    openWhenHidden: true,
    onmessage: ({ data, event, id }) => {
      assert.deepEqual([event, id], ['', '']);
      found.push(JSON.parse(data));
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

  'an answer that breaks off says so': async () => {
    const found = await events(broken);
    const last = found.pop();
    assert.deepEqual([last.status, last.code, last.retryable], ['error', 'unavailable', true]);
    assert(text(found).startsWith('It begins well [1]'));
  },
});
