// What the JavaScript clients' tests share: stories, the question, and the answer to compare with.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

export const QUESTION = 'How do I ingest a book?';
export const KEY = 'the internal key';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Runs each story and exits with 1 if one failed. */
export async function tell(client, stories) {
  let failed = false;
  for (const [name, story] of Object.entries(stories)) {
    try {
      await story();
      console.log(`ok      ${client}: ${name}`);
    } catch (error) {
      failed = true;
      console.log(`FAILED  ${client}: ${name}\n        ${error.stack}`);
    }
  }
  process.exit(failed ? 1 : 0);
}

/** The same answer in our own protocol: what every other must equal. */
export async function simple(base) {
  const reply = await fetch(`${base}/api/v1/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': KEY },
    body: JSON.stringify({ message: { content: QUESTION } }),
  });
  assert.equal(reply.status, 200);
  return (await reply.json()).response;
}

/** Whether each citation is a marker of the text, and has its source's address. */
export function assertCited(answer, content, annotations) {
  // Offsets count code points; a JavaScript string counts UTF-16 units.
  const points = [...content];
  const numbers = annotations.map(({ type, url_citation: it }) => {
    assert.equal(type, 'url_citation');
    const marker = points.slice(it.start_index, it.end_index).join('');
    const source = answer.sources.find(({ n }) => marker === `[${n}]`);
    assert.deepEqual([it.url, it.title], [source.url, source.title]);
    return source.n;
  });
  assert.deepEqual(numbers, [1, 2, 1]);
}

export const isUuid = (text) => UUID.test(text);

/** @microsoft/fetch-event-source, which looks at the page's visibility: there is no page here. */
export async function eventSource() {
  globalThis.window = globalThis;
  globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
  return (await import('@microsoft/fetch-event-source')).fetchEventSource;
}

/** A new reader's headers. */
export async function account(base) {
  const body = JSON.stringify({ email: `${randomUUID()}@book.example`, password: 'correct horse battery' });
  const post = (path) => fetch(`${base}/api/v1/auth/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  await post('register');
  const { access_token: token } = await (await post('login')).json();
  return { authorization: `Bearer ${token}` };
}
