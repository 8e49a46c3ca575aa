// @ai-sdk/openai-compatible with `streamText` and `generateText` against a running Lectern: provider.mjs WHOLE BROKEN
import assert from 'node:assert/strict';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai7';
import { KEY, QUESTION, simple, tell } from './story.mjs';

const [whole, broken] = process.argv.slice(2);
const answer = await simple(whole);
const model = (base = whole, apiKey = KEY) => createOpenAICompatible({ name: 'lectern', baseURL: `${base}/v1`, apiKey, includeUsage: true })('book');
const asked = (it) => ({ model: it, prompt: QUESTION, maxRetries: 0 });

await tell('@ai-sdk/openai-compatible', {
  'the whole answer': async () => {
    const { text, finishReason, usage } = await generateText(asked(model()));
    assert.equal(text, answer.content);
    assert.equal(finishReason, 'stop');
    assert(usage.inputTokens > 0 && usage.outputTokens > 0);
  },

  'a stream, with usage': async () => {
    const result = streamText(asked(model()));
    let text = '';
    for await (const delta of result.textStream) text += delta;
    assert.equal(text, answer.content);
    assert((await result.usage).outputTokens > 0);
  },

  'a refusal has its words': async () => {
    const error = await generateText(asked(model(whole, 'wrong'))).then(() => assert.fail('not refused'), (error) => error);
    assert.equal(error.statusCode, 401);
    assert.match(error.message, /Sign in first/);
  },

  'an answer that breaks off is an error': async () => {
    const errors = [];
    const result = streamText({ ...asked(model(broken)), onError: ({ error }) => void errors.push(error) });
    let text = '';
    for await (const delta of result.textStream) text += delta;
    assert(text.startsWith('It begins well [1]'), text);
    assert(errors.some((error) => /broke off/.test(error.message ?? error)), String(errors));
  },
});
