// The AI SDK's chat transport (what `useChat` stands on) against a running Lectern: ui.mjs 6|7 WHOLE BROKEN
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { KEY, QUESTION, isUuid, simple, tell } from './story.mjs';

const [version, whole, broken] = process.argv.slice(2);
const { DefaultChatTransport, readUIMessageStream } = await import(`ai${version}`);
const answer = await simple(whole);

const said = (role, text) => ({ id: randomUUID(), role, parts: [{ type: 'text', text }] });

/** Sends a chat and reads the message to its end, as the client would show it. */
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

  'an answer that breaks off is an error, and what there was stays': async () => {
    await assert.rejects(ask({ base: broken }), /broke off/);
    assert(textOf(ask.last()).startsWith('It begins well [1]'));
  },
});
