// The AI SDK's chat itself (what `useChat` shows) against a running Lectern: ui_chat.mjs 6|7 WHOLE BROKEN SLOW
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { QUESTION, account, simple, tell } from './story.mjs';

const [version, whole, broken, slow] = process.argv.slice(2);
const { AbstractChat, DefaultChatTransport } = await import(`ai${version}`);
const answer = await simple(whole);

/** Where a page keeps its messages; React has its own. */
class State {
  messages = [];
  status = 'ready';
  error = undefined;
  pushMessage = (message) => { this.messages = [...this.messages, message]; };
  popMessage = () => { this.messages = this.messages.slice(0, -1); };
  replaceMessage = (at, message) => { this.messages = this.messages.with(at, message); };
  snapshot = (value) => structuredClone(value);
}

class Chat extends AbstractChat {
  errors = [];
  constructor(base, headers, more) {
    const transport = new DefaultChatTransport({ api: `${base}/api/chat`, headers, ...more });
    super({
      id: `chat-${randomUUID()}`,
      transport,
      state: new State(),
      onError: ({ message }) => this.errors.push(message),
      onFinish: (finish) => { this.finish = finish; },
    });
    Object.assign(this, { base, headers });
  }

  stopAtServer = () => fetch(`${this.base}/api/chat/${this.id}/stop`, { method: 'POST', headers: this.headers });

  /** What the server keeps of it, once nothing is being written any more. */
  async kept() {
    const path = `${this.base}/api/v1/conversations/${this.messages.at(-1).metadata.conversationId}`;
    for (;;) {
      const { messages } = await (await fetch(path, { headers: this.headers })).json();
      if (messages.every(({ status }) => status !== 'running')) return messages;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const textOf = ({ parts }) => parts.filter(({ type }) => type === 'text').map(({ text }) => text).join('');

/** Waits until the answer has some text. */
async function begun(chat) {
  while (chat.messages.at(-1)?.role !== 'assistant' || !textOf(chat.messages.at(-1))) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

await tell(`ai ${version} (AbstractChat)`, {
  'asking, going on, regenerating and editing keep one conversation': async () => {
    const chat = new Chat(whole, await account(whole));
    await chat.sendMessage({ text: QUESTION });
    await chat.sendMessage({ text: 'And then?' });
    assert.deepEqual([chat.status, chat.errors, chat.finish.finishReason], ['ready', [], 'stop']);
    assert.equal(textOf(chat.messages.at(-1)), answer.content);
    assert.equal((await chat.kept()).length, 4);
    await chat.regenerate();
    assert.equal((await chat.kept()).length, 4);
    await chat.sendMessage({ text: 'And what else?', messageId: chat.messages[0].id });
    assert.deepEqual((await chat.kept()).map(({ content }) => content), ['And what else?', answer.content]);
  },

  'a message that is sent twice is asked once': async () => {
    // A gateway that lets a request through and loses its answer.
    const twice = async (url, init) => {
      if (init?.method === 'POST') await (await fetch(url, init)).text();
      return fetch(url, init);
    };
    const chat = new Chat(whole, await account(whole), { fetch: twice });
    await chat.sendMessage({ text: QUESTION });
    assert.deepEqual([chat.status, textOf(chat.messages.at(-1))], ['ready', answer.content]);
    assert.equal((await chat.kept()).length, 2);
  },

  'a stop is heard at once, and later': async () => {
    for (const isLate of [false, true]) {
      const chat = new Chat(slow, await account(slow));
      const asked = chat.sendMessage({ text: QUESTION });
      if (isLate) await begun(chat);
      else while (chat.status === 'submitted') await new Promise((resolve) => setTimeout(resolve, 1));
      await chat.stopAtServer();
      await asked;
      assert.deepEqual([chat.status, chat.errors, chat.messages.at(-1).metadata.stopped], ['ready', [], true]);
      const [question, stopped] = await chat.kept();
      assert.deepEqual([question.status, stopped?.status ?? 'stopped'], ['complete', 'stopped']);
    }
  },

  'a page that hangs up finds the whole answer later': async () => {
    const chat = new Chat(slow, await account(slow));
    const asked = chat.sendMessage({ text: QUESTION });
    await begun(chat);
    await chat.stop();
    await asked;
    assert.equal((await chat.kept())[1].status, 'complete');
  },

  'an answer that breaks off can be regenerated': async () => {
    const chat = new Chat(broken, await account(broken));
    await chat.sendMessage({ text: QUESTION });
    assert.deepEqual([chat.status, chat.errors], ['error', ['The answer broke off. Please ask again.']]);
    await chat.regenerate();
    assert.equal(chat.errors.length, 2);
    assert.equal(chat.messages.length, 2);
  },
});
