// OpenAI's client for JavaScript against a running Lectern: openai.mjs 6|7 WHOLE BROKEN
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { KEY, QUESTION, assertCited, isUuid, simple, tell } from './story.mjs';

const [version, whole, broken] = process.argv.slice(2);
const { default: OpenAI } = await import(`openai${version}`);
const answer = await simple(whole);

const client = (base = whole, apiKey = KEY, more = {}) => new OpenAI({ baseURL: `${base}/v1`, apiKey, ...more });
const asked = (more) => ({ model: 'book', messages: [{ role: 'user', content: QUESTION }], ...more });
const ask = (who, more) => who.chat.completions.create(asked(more));

async function raises(kind, status, call, members = {}) {
  const error = await call().then(() => assert.fail(`${kind.name} was not raised`), (error) => error);
  assert(error instanceof kind, error.stack);
  assert.equal(error.status, status);
  assert(isUuid(error.requestID), error.requestID);
  for (const [name, value] of Object.entries(members)) assert.equal(error[name], value, name);
}

await tell(`openai ${version} (JavaScript)`, {
  'the whole answer, with its citations': async () => {
    const reply = await ask(client());
    const [{ message, finish_reason: reason }] = reply.choices;
    assert.equal(message.content, answer.content);
    assert.equal(reason, 'stop');
    assert(reply.usage.total_tokens > 0);
    assertCited(answer, message.content, message.annotations);
  },

  'a stream, with usage and citations': async () => {
    const chunks = [];
    for await (const chunk of await ask(client(), { stream: true, stream_options: { include_usage: true } })) chunks.push(chunk);
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
    assert.equal(deltas.map(({ content }) => content ?? '').join(''), answer.content);
    assertCited(answer, answer.content, deltas.flatMap(({ annotations }) => annotations ?? []));
    assert(chunks.at(-1).usage.total_tokens > 0 && chunks.at(-1).choices.length === 0);
  },

  'the stream helper': async () => {
    const final = await client().chat.completions.stream(asked()).finalChatCompletion();
    assert.equal(final.choices[0].message.content, answer.content);
    assert.equal(final.usage, undefined);
  },

  'the list of models': async () => {
    assert.deepEqual((await client().models.list()).data.map(({ id }) => id), ['book']);
  },

  'a guest, who has no key': async () => {
    const guest = client(whole, 'none', { defaultHeaders: { Authorization: null } });
    assert.equal((await ask(guest)).choices[0].message.content, answer.content);
  },

  'each refusal is its own exception': async () => {
    await raises(OpenAI.AuthenticationError, 401, () => ask(client(whole, 'wrong')), { code: 'invalid_api_key' });
    await raises(OpenAI.NotFoundError, 404, () => ask(client(), { user: 'ada', metadata: { conversation_id: randomUUID() } }));
    await raises(OpenAI.BadRequestError, 400, () => ask(client(), { messages: [] }), { param: 'messages' });
    await raises(OpenAI.NotFoundError, 404, () => client().embeddings.create({ model: 'book', input: 'x' }));
  },

  'an answer that breaks off is an error, not an end': async () => {
    let text = '';
    const read = async () => {
      for await (const { choices } of await ask(client(broken), { stream: true })) text += choices[0].delta.content ?? '';
    };
    await assert.rejects(read, (error) => error instanceof OpenAI.APIError && /broke off/.test(error.message));
    assert(text.startsWith('It begins well [1]'), text);
    await raises(OpenAI.InternalServerError, 503, () => ask(client(broken, KEY, { maxRetries: 0 })));
  },
});
