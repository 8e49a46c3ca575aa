// Mounts OpenAI's ChatKit on our `/api/chatkit`. Its script comes from the vendor alone: it can be neither
// kept here nor fixed to a version, so this page is documented, and not part of any test.
//
// To use it on a site of your own, change two things:
//   DOMAIN_KEY  the key that OpenAI gives to your domain (platform.openai.com, Settings, Security, Domain
//               allowlist). On localhost any word does; elsewhere ChatKit refuses to load without it.
//   API         the whole address of your `/api/chatkit` when it is on another host than the page: name
//               the page's site in ALLOWED_ORIGINS then, and the API in the page's `connect-src`.
import { $ } from './dom.js';
import { memory, recall } from './memory.js';

const DOMAIN_KEY = 'local-dev';
const API = new URL('api/chatkit', document.baseURI).href;

const SCRIPT = 'https://cdn.platform.openai.com/deployments/chatkit/chatkit.js';
const PATIENCE_MS = 15_000;
const dark = matchMedia('(prefers-color-scheme: dark)');

/** ChatKit sends what it likes through this, uploads to other hosts included: the token is for our API only. */
async function fetchWithToken(input, init = {}) {
  const isOurs = String(input.url ?? input) === API;
  const headers = new Headers(init.headers); // what ChatKit set must arrive
  if (isOurs) headers.set('Authorization', `Bearer ${memory.reader.token}`);
  const response = await fetch(input, { ...init, headers });
  if (isOurs && response.status === 401) say('Your sign-in has run out. Sign in again on the reader’s page, and then open this one in the same tab.');
  return response;
}

function say(text) {
  $('state').hidden = false;
  $('state').textContent = text;
}

function load() {
  return new Promise((done, fail) => {
    const script = Object.assign(document.createElement('script'), { src: SCRIPT, async: true });
    script.onerror = () => fail(new Error('it cannot be reached from here'));
    setTimeout(() => fail(new Error('it did not answer')), PATIENCE_MS);
    customElements.whenDefined('openai-chatkit').then(done);
    document.head.append(script);
  });
}

async function mount() {
  recall();
  if (!memory.reader?.token) {
    say('Sign in on the reader’s page first, and then open this one in the same tab.');
    return;
  }
  try {
    await load();
  } catch (error) {
    say(`ChatKit could not be loaded from ${new URL(SCRIPT).host}: ${error.message}. The reader’s page asks the same book without it.`);
    return;
  }
  $('state').hidden = true;
  $('chat').addEventListener('chatkit.error', ({ detail }) => console.warn('ChatKit:', detail?.error));
  dark.addEventListener('change', configure);
  configure();
}

function configure() {
  $('chat').setOptions({ // always all of them: they are not merged with those before
    api: { url: API, domainKey: DOMAIN_KEY, fetch: fetchWithToken },
    theme: { colorScheme: dark.matches ? 'dark' : 'light' }, // it is always light unless told
    threadItemActions: { feedback: true, retry: true }, // both are off unless asked for
    entities: { onClick: ({ data }) => data?.href && open(data.href, '_blank', 'noopener') }, // a citation opens its page
  });
}

mount();
