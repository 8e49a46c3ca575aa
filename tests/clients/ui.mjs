// The AI SDK's chat transport (what `useChat` stands on) against a running Lectern: ui.mjs 6|7 WHOLE BROKEN SLOW
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { KEY, QUESTION, account, isUuid, simple, tell } from './story.mjs';

const [version, whole, broken, slow] = process.argv.slice(2);
const { DefaultChatTransport, readUIMessageStream } = await import(`ai${version}`);
const answer = await simple(whole);

const said = (role, text) => ({ id: randomUUID(), role, parts: [{ type: 'text', text }] });

/** Reads a message to its end, as the client would show it. */
async function read(stream, seen = () => {}) {
  let message;
  for await (message of readUIMessageStream({ stream, terminateOnError: true })) seen(message);
  return message;
}

/** A chat with an answer that takes its time, of which there is some text already. */
async function begun() {
  const chatId = randomUUID();
  const headers = await account(slow);
  const transport = new DefaultChatTransport({ api: `${slow}/api/chat`, headers });
  const messages = [said('user', QUESTION)];
  const stream = await transport.sendMessages({ chatId, messages, trigger: 'submit-message', messageId: undefined, abortSignal: undefined });
  let whole;
  await new Promise((resolve) => {
    whole = read(stream, (message) => textOf(message) && resolve());
  });
  return { chatId, headers, transport, whole };
}

/** Sends a chat and reads the message to its end. */
async function ask({ base = whole, headers, body, chatId = randomUUID(), messages = [said('user', QUESTION)], trigger = 'submit-message', ...more } = {}) {
  const transport = new DefaultChatTransport({ api: `${base}/api/chat`, headers, body, ...more });
  const stream = await transport.sendMessages({ chatId, messages, trigger, messageId: undefined, abortSignal: undefined });
  let message;
  ask.last = () => message;
  for await (message of readUIMessageStream({ stream, terminateOnError: true }));
  return message;
}

const textOf = ({ parts }) => parts.filter(({ type }) => type === 'text').map(({ text }) => text).join('');
const known = { headers: { 'x-api-key': KEY }, body: { user_id: `reader-${version}` } };

function assertSources({ parts }) {
  const sources = parts.filter(({ type }) => type === 'source-url');
  assert.deepEqual(
    sources.map(({ url, title, providerMetadata }) => [providerMetadata.lectern.n, url, title, providerMetadata.lectern.quote]),
    answer.sources.map(({ n, url, title, quote }) => [n, url, title, quote]),
  );
}

await tell(`ai ${version} (DefaultChatTransport)`, {
  'a guest is answered, with sources': async () => {
    const message = await ask();
    assert.equal(textOf(message), answer.content);
    assertSources(message);
    const [{ citations }] = message.parts.filter(({ type }) => type === 'text');
    if (version === '6') assert.equal(citations, undefined);
    else {
      const cited = citations.map(({ source, startIndex, endIndex }) => [source.id, answer.content.slice(startIndex, endIndex)]);
      assert.deepEqual(cited, [['1', '[1]'], ['2', '[2]'], ['1', '[1]']]);
    }
    assert(isUuid(message.id) && message.role === 'assistant');
    const { conversationId, usage, degraded, refused } = message.metadata;
    assert.deepEqual([conversationId, degraded, refused], [undefined, [], false]);
    assert(usage.inputTokens > 0 && usage.outputTokens > 0);
  },

  'a known reader stays in one conversation': async () => {
    const chatId = `chat-${randomUUID()}`;
    const first = await ask({ ...known, chatId });
    const { conversationId } = first.metadata;
    assert(isUuid(conversationId) && first.metadata.saved);
    const messages = [said('user', QUESTION), first, said('user', 'And then?')];
    assert.equal((await ask({ ...known, chatId, messages })).metadata.conversationId, conversationId);
    assert.equal((await ask({ ...known, chatId: conversationId })).metadata.conversationId, conversationId);
    assert.equal((await ask({ ...known, chatId, messages, trigger: 'regenerate-message' })).metadata.conversationId, conversationId);
    assert.notEqual((await ask({ ...known })).metadata.conversationId, conversationId);
  },

  'an app that sends the last message only': async () => {
    const prepareSendMessagesRequest = ({ id, messages }) => ({ body: { id, message: messages.at(-1) } });
    assert.equal(textOf(await ask({ prepareSendMessagesRequest })), answer.content);
  },

  'a refusal can be read': async () => {
    for (const [asked, status, code] of [
      [{ headers: { authorization: 'Bearer wrong' } }, 401, 'unauthorized'],
      [{ messages: [said('assistant', 'Hello')] }, 422, 'invalid'],
      [{ ...known, chatId: '\n' }, 422, 'invalid'],
    ]) {
      const error = await ask(asked).then(() => assert.fail(`not refused: ${code}`), (error) => error);
      const body = JSON.parse(version === '6' ? error.message : error.responseBody);
      assert.equal(body.code, code);
      assert(body.message.length > 10 && isUuid(body.request_id), error.message);
      if (version !== '6') assert.equal(error.statusCode, status);
    }
  },

  'a page that is opened again goes on with the answer': async () => {
    const { chatId, transport, whole } = await begun();
    // The answer may be a moment older than its row in the run log.
    let resumed = null;
    for (let n = 0; n < 20 && !resumed; n += 1) resumed = await transport.reconnectToStream({ chatId });
    assert.deepEqual(await read(resumed), await whole);
    assert.match(textOf(await whole), /^First .* at last \[1\]\.$/);
    assert.equal(await transport.reconnectToStream({ chatId }), null);
  },

  'a stop ends the answer, and what there was stays': async () => {
    const { chatId, headers, whole } = await begun();
    const stop = await fetch(`${slow}/api/chat/${chatId}/stop`, { method: 'POST', headers });
    assert.deepEqual(await stop.json(), { success: true });
    const message = await whole;
    assert(textOf(message).startsWith('First ') && !textOf(message).includes('at last'));
    assert(message.metadata.stopped && message.metadata.usage.estimated);
  },

  'an answer that breaks off is an error, and what there was stays': async () => {
    await assert.rejects(ask({ base: broken }), /broke off/);
    assert(textOf(ask.last()).startsWith('It begins well [1]'));
  },
});
