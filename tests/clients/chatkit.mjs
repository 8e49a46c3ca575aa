// The reader of events that ChatKit's page bundles, @microsoft/fetch-event-source, against a running
// Lectern behind a gateway that fails: chatkit.mjs WHOLE BROKEN
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { KEY, QUESTION, eventSource, isUuid, tell } from './story.mjs';

const fetchEventSource = await eventSource();
const [whole] = process.argv.slice(2);
const reader = `reader-${Date.now()}`;
const url = `${whole}/api/chatkit?user_id=${reader}`;
const headers = { 'content-type': 'application/json', 'x-api-key': KEY };

/** A gateway that lets a request through and loses its answer, this many times. */
async function gateway(losses) {
  const posts = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    posts.push(body);
    const reply = await fetch(url, { method: 'POST', headers, body });
    const answer = await reply.text();
    if (posts.length <= losses) return response.writeHead(503).end('upstream went away');
    response.writeHead(reply.status, { 'content-type': reply.headers.get('content-type') });
    response.end(answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}`, posts, close: () => server.close() };
}

/** Asks as the page does: whatever is no stream and no 4xx is sent again. */
async function events(url, body) {
  const found = [];
  class Final extends Error {}
  await fetchEventSource(url, {
    method: 'POST',
    headers: { ...headers, accept: 'text/event-stream' },
    body,
    openWhenHidden: true,
    async onopen(response) {
      if (response.ok && response.headers.get('content-type')?.startsWith('text/event-stream')) return;
      throw response.status < 500 ? new Final() : new Error(`${response.status}`);
    },
    onmessage: ({ data, id }) => {
      assert.equal(id, '');
      found.push(JSON.parse(data));
    },
    onerror: (error) => {
      if (error instanceof Final) throw error;
      return 50;
    },
  });
  return found;
}

async function plain(type, params) {
  const reply = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ type, params }) });
  assert.equal(reply.status, 200);
  return reply.json();
}

await tell('fetch-event-source, as in ChatKit', {
  'a request that is sent again asks once': async () => {
    const through = await gateway(2);
    const input = { content: [{ type: 'input_text', text: QUESTION }], attachments: [], inference_options: {} };
    const found = await events(through.url, JSON.stringify({ type: 'threads.create', params: { input } }));
    through.close();
    assert.equal(through.posts.length, 3);
    assert.equal(new Set(through.posts).size, 1);
    assert.deepEqual([found[0].type, found.at(-1).type], ['thread.created', 'thread.updated']);
    const { data } = await plain('threads.list', {});
    assert.deepEqual(data.map(({ id }) => id), [found[0].thread.id]);
    const thread = await plain('threads.get_by_id', { thread_id: data[0].id });
    const done = found.filter(({ type }) => type === 'thread.item.done').map(({ item }) => item);
    assert.deepEqual(thread.items.data, done);
    assert(done.length === 2 && done.every(({ id }) => isUuid(id)));
  },
});
