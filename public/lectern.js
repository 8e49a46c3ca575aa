// The reader's page: ask, read the answer as it is written, follow its sources.
// Nothing here assigns innerHTML: every text becomes a text node, so no answer can become markup.
'use strict';

const $ = (id) => document.getElementById(id);
const on = (id, type, run) => $(id).addEventListener(type, run);
const box = $('question');
// The server's limits, in characters, and how many exchanges a reload brings back.
const LONGEST_QUESTION = 4000;
const HISTORY = { turns: 10, characters: 8000 };
const KEPT = 40;

/** Makes an element: `make('a', { href }, 'text', node)`. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// ---- What is remembered ----
// Token and conversation live together in sessionStorage: they survive a reload, two tabs never mix
// theirs, and on a shared computer both are gone with the tab. "Stay signed in on this device" keeps a
// copy in localStorage. Neither is safe from a script in this page; against that stand the renderer
// and the content policy.

const KEY = 'lectern';
let reader = null; // { email, user_id, token, keep }; without a token once that has run out
let conversation = fresh();
let running = null; // { turn, controller } while an answer is being written

function fresh() {
  return { owner: reader?.user_id, turns: [] }; // and the `id` that the server gives it
}

function remember() {
  const { turns } = conversation;
  const text = JSON.stringify({ reader, conversation: { ...conversation, turns: turns.slice(-KEPT) } });
  try {
    sessionStorage.setItem(KEY, text);
    if (reader?.keep) localStorage.setItem(KEY, text);
  } catch { /* Full or forbidden: the page works on, without a memory. */ }
}

function recall() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY));
    if (!Array.isArray(kept?.conversation?.turns)) return;
    ({ reader, conversation } = kept);
    for (const turn of conversation.turns) if (turn.state === 'running') turn.state = 'stopped';
  } catch { /* Unreadable or forbidden: begin anew. */ }
}

function forget() {
  try {
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
  } catch { /* There was nothing. */ }
}

// ---- Asking ----

/** What a failed request has to tell the reader. */
class Failure extends Error {
  constructor(text, facts) {
    super(text);
    Object.assign(this, { retry: true }, facts); // and perhaps `status` and `reference`
  }
}

/** Posts JSON to the API; all but 2xx becomes a `Failure` with the server's own words. */
async function post(path, body, { token, signal } = {}) {
  const headers = { 'Content-Type': 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(`api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Failure('The server cannot be reached. Are you online?');
  }
  if (response.ok) return response;
  const { status } = response;
  const problem = await response.json().catch(() => ({})); // a proxy in between may answer in HTML
  throw new Failure(problem.detail || problem.title || `The server answered with an error (${status}).`, {
    status,
    retry: status >= 500 || status === 408 || status === 429, // else what was sent is at fault
    reference: problem.request_id,
  });
}

/** The newest exchanges that fit the limits, oldest first. A "turn" is taken to be one message. */
function history() {
  const messages = [];
  let room = HISTORY.characters;
  for (const it of conversation.turns.slice(0, -1).reverse()) {
    if (!it.answer || it.state === 'failed') continue;
    // The last answer, which a follow-up leans on, is rather cut than left out.
    const answer = [...it.answer];
    if (!messages.length) answer.splice(room - [...it.question].length);
    room -= [...it.question].length + answer.length;
    if (room < 0 || messages.length + 2 > HISTORY.turns) break;
    messages.unshift({ role: 'user', content: it.question }, { role: 'assistant', content: answer.join('') });
  }
  return messages;
}

const EXPIRED = 'Your sign-in has run out. Sign in again; your question is kept.';

/** Asks `question`; with `again`, in the place of the last turn, which failed or was stopped. */
async function ask(question, again) {
  if (running) return;
  if (reader && !reader.token) { // never quietly on as a guest, who would get another conversation
    returnToBox(question);
    return openSign(EXPIRED);
  }
  const here = conversation; // a new one may replace it before the answer is there
  const turn = { question, answer: '', state: 'running' };
  if (again) here.turns.pop();
  here.turns.push(turn);
  const controller = new AbortController();
  running = { turn, controller };
  followFrom = null;
  draw();
  remember();
  announce('Looking in the book.');
  try {
    const token = reader?.token;
    const body = { message: { content: question }, ...(token ? { conversation_id: here.id } : { history: history() }) };
    if (token) here.owner = reader.user_id;
    await read(await post('chat/stream', body, { token, signal: controller.signal }), turn);
    here.id = turn.conversation_id ?? here.id;
  } catch (error) {
    fail(error, turn, here);
  }
  if (running?.turn !== turn) return; // a new conversation began meanwhile
  running = null;
  draw();
  remember();
  follow();
  if (turn.state === 'done') announce(`${markdown(turn.answer, () => '').textContent} Sources: ${turn.sources.length || 'none'}.`);
}

/** Follows the stream into `turn`, up to its one last event. */
async function read(response, turn) {
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) throw new Failure('This page cannot read the server’s answer.');
  try {
    for await (const data of events(response.body)) {
      const event = JSON.parse(data);
      if (event.status === 'partial') {
        turn.answer += event.content;
        drawSoon(turn);
      } else if (event.status === 'error') {
        throw new Failure(event.content || 'The answer broke off.', { retry: event.retryable !== false });
      } else {
        const { content, sources = [], degraded = [], refused, unsupported, saved, conversation_id } = event;
        return void Object.assign(turn, { answer: content, sources, degraded, refused, unsupported, saved, conversation_id, state: 'done' });
      }
    }
  } catch (error) {
    if (error instanceof Failure || error.name === 'AbortError') throw error;
    // Cut off, or no JSON: what was read so far stays.
  }
  throw new Failure('The connection was lost before the end of the answer.');
}

function fail(error, turn, here) {
  if (error.name === 'AbortError') {
    turn.state = 'stopped';
    return announce('Stopped.');
  }
  turn.state = 'failed';
  turn.failure = { text: error.message, retry: error.retry, reference: error.reference };
  if (here !== conversation) return;
  if (error.status === 401) {
    here.turns.pop(); // the question goes back where it can be sent from
    returnToBox(turn.question);
    if (reader) reader.token = undefined;
    return openSign(reader ? EXPIRED : 'This book answers readers who are signed in. Your question is kept.');
  }
  if (error.status === 404 && here.id) {
    here.id = undefined; // deleted, or one too many for the server to keep
    Object.assign(turn.failure, { text: 'The server no longer keeps this conversation. Try again to begin a new one.', retry: true });
  } else if (!turn.failure.retry && !turn.answer) {
    returnToBox(turn.question); // to be changed and sent again
  }
  announce(turn.failure.text);
}

function stop() {
  running?.controller.abort();
}

/** Another conversation takes the place of this one, whose answer no longer matters. */
function replaceConversation() {
  stop();
  running = null;
  conversation = fresh();
}

/** Puts a question that could not be asked back, unless another one is being typed. */
function returnToBox(question) {
  if (!box.value.trim()) box.value = question;
  fit();
}

// ---- Server-sent events ----

/** The `data` of each event. Pieces may be cut anywhere: in a line, in a CRLF, in a character. */
async function* events(body) {
  const pieces = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let data = [];
  for (;;) {
    const { done, value = '' } = await pieces.read();
    rest += value;
    // A CR that ends a piece may be half of a CRLF: it waits for what comes next.
    const lines = rest.split(done ? /\r\n|\r|\n/ : /\r\n|\r(?!$)|\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (data.length) yield data.join('\n');
        data = [];
      } else if (/^data(:|$)/.test(line)) {
        data.push(line.slice(5).replace(/^ /, ''));
      } // Comments such as ": ping" and other fields mean nothing here.
    }
    if (done) return; // an event without its empty line is not whole, and dropped
  }
}

// ---- Drawing ----

const DEGRADED = {
  llm: 'The language model is away. These are the book’s own passages, word for word.',
  embeddings: 'Search by meaning is away. Passages were found by their words alone.',
  qdrant: 'The search service is away. A copy of the book that travels with this site was searched.',
  database: 'The database is away. Earlier questions were not taken into account.',
};

function draw() {
  const { turns } = conversation;
  $('welcome').hidden = turns.length > 0;
  $('new').hidden = !turns.length;
  const elements = turns.map(drawTurn);
  const list = $('turns');
  while (list.lastChild && list.lastChild !== elements[list.childNodes.length - 1]) list.lastChild.remove();
  list.append(...elements.slice(list.childNodes.length));
  $('who').textContent = reader?.email ?? '';
  $('sign-in').hidden = Boolean(reader?.token);
  $('log-out').hidden = !reader;
  // One button for both, so that the focus stays where it is when its meaning changes.
  $('send').textContent = running ? 'Stop' : 'Ask';
  $('send').classList.toggle('stop', Boolean(running));
  fit();
  if (running) follow();
}

/** A turn keeps its elements, so that drawing it again takes no focus and no selection. */
const drawn = new WeakMap();

function drawTurn(turn) {
  if (!drawn.has(turn)) {
    const [answer, foot] = [make('div', { class: 'a', dir: 'auto' }), make('div')];
    drawn.set(turn, { answer, foot, article: make('article', { class: 'turn' }, make('h2', { class: 'q', dir: 'auto' }, turn.question), answer, foot) });
  }
  const { article, answer, foot } = drawn.get(turn);
  drawAnswer(turn, answer);
  const look = JSON.stringify({ ...turn, answer: !turn.answer });
  if (foot.look === look) return article;
  foot.look = look;

  const parts = [];
  const note = (kind, text) => parts.push(make('p', { class: `note ${kind}` }, text));
  if (turn.state === 'running' && !turn.answer) parts.push(make('p', { class: 'waiting' }, 'Looking in the book'));
  if (turn.state === 'stopped') note('stopped', turn.answer ? 'Stopped here. What was written so far is kept.' : 'Stopped before the answer began.');
  if (turn.refused) note('refused', 'The book does not answer this.');
  if (turn.unsupported) note('warn', 'No passage of the book supports this answer. Check it before you rely on it.');
  for (const word of turn.degraded ?? []) note('warn', DEGRADED[word] ?? `Part of the service is away (${word}).`);
  if (turn.saved === false) note('warn', 'This exchange is not in your saved conversations yet.');
  if (turn.sources?.length) parts.push(drawSources(turn));
  if (turn.state === 'failed' || turn.state === 'stopped') parts.push(drawFailure(turn));
  foot.replaceChildren(...parts);
  return article;
}

function drawFailure(turn) {
  const { text, retry = true, reference } = turn.failure ?? {};
  const again = make('button', { type: 'button', class: 'quiet retry' }, 'Try again');
  again.addEventListener('click', () => {
    box.focus(); // this button goes away
    ask(turn.question, true);
  });
  if (!turn.failure) return again;
  const told = make('div', { class: 'failure' }, text);
  if (reference) told.append(make('small', {}, `Reference ${reference}`));
  if (retry) told.append(again);
  return told;
}

/** Draws the answer as far as it is there; blocks that did not change stay the same elements. */
function drawAnswer(turn, element) {
  const sources = new Map((turn.sources ?? []).map((it) => [String(it.n), it]));
  const cite = (n) => {
    const source = sources.get(n);
    if (!source) return turn.state === 'done' ? `[${n}]` : make('sup', { class: 'cite' }, n); // its sources come last
    const link = make('a', { class: 'cite', href: '#', role: 'button', 'aria-label': `Source ${n}: ${source.title ?? ''}` }, n);
    link.addEventListener('click', (event) => {
      event.preventDefault();
      const target = drawn.get(turn).foot.querySelector(`[data-n="${n}"]`);
      target.focus();
      target.closest('li').scrollIntoView({ block: 'nearest' });
    });
    return link;
  };
  const next = [...markdown(turn.answer, cite).childNodes];
  let same = 0;
  while (same < next.length && element.childNodes[same]?.isEqualNode(next[same])) same += 1;
  while (element.childNodes.length > same) element.lastChild.remove();
  element.append(...next.slice(same));
  element.classList.toggle('busy', turn.state === 'running');
}

function drawSources(turn) {
  const list = make('ol');
  for (const { n, title, url, path, quote } of turn.sources) {
    const name = (title || path || `Source ${n}`).replaceAll(' > ', ' › ');
    const href = deepLink(url, quote);
    const head = href
      ? make('a', { class: 'title', href, target: '_blank', rel: 'noopener', 'data-n': n }, name, make('span', { class: 'hidden' }, ' (opens in a new tab)'))
      : make('span', { class: 'title', tabindex: '-1', 'data-n': n }, name);
    const item = make('li', {}, make('span', { class: 'n' }, String(n)), head);
    if (quote) item.append(drawQuote(quote));
    list.append(item);
  }
  return make('section', { class: 'sources' }, make('h3', {}, 'Sources'), list);
}

/** The quote in one run. Its links would lead astray: they start from the book's page. */
function drawQuote(quote) {
  const text = quote.split('\n').map((it) => cells(it).join(' · ')).join(' ').replace(/\s+/g, ' ');
  const element = make('q', { dir: 'auto' }, ...inline(text));
  for (const link of element.querySelectorAll('a')) link.replaceWith(...link.childNodes);
  return element;
}

/** The source's address; where the browser can, it opens on the quoted words themselves. */
function deepLink(url, quote) {
  const href = url && safe(url);
  if (!href || !quote || !('fragmentDirective' in document) || href.includes(':~:')) return href;
  const shown = (line) => make('p', {}, ...inline(line.replace(/^\s*([-*+>]|#+|\d+[.)])\s+/, ''))).textContent.match(/\S+/g);
  const lines = quote.split('\n').flatMap(cells).map(shown).filter(Boolean);
  if (!lines.length) return href;
  // A range from the first to the last words, because those in between may cross a paragraph.
  const [first, last] = [lines[0], lines.at(-1)];
  const range = first === last && first.length <= 10 ? [first] : [first.slice(0, 5), last.slice(-5)];
  const directive = range.map((words) => encodeURIComponent(words.join(' ')).replaceAll('-', '%2D')).join(',');
  return `${href + (href.includes('#') ? '' : '#')}:~:text=${directive}`;
}

/** The cells of a row of a table, as its page shows them; other lines are one. */
function cells(line) {
  const row = /^\s*\|(.*)\|\s*$/.exec(line);
  return row && !DIVIDER.test(line) ? row[1].split(/(?<!\\)\|/).map((it) => it.trim()) : [line];
}

let frame = 0;
/** At most once a frame. */
function drawSoon(turn) {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    if (running?.turn !== turn) return;
    drawTurn(turn);
    follow();
  });
}

let followFrom = null; // where we last scrolled to; somewhere else means that the reader took over
/** Brings the last question to the top and leaves it there, so that its answer grows without moving. */
function follow() {
  const turn = $('turns').lastElementChild;
  if (!turn || (followFrom !== null && Math.abs(scrollY - followFrom) > 4)) return;
  const top = turn.getBoundingClientRect().top + scrollY - document.querySelector('header').offsetHeight - 16;
  scrollTo(0, top); // the browser goes no further than the end
  followFrom = scrollY;
}

function announce(text) {
  $('live').textContent = text;
}

// ---- Markdown ----
// The part that answers use, straight into elements. Repetitions are bounded, so that no text makes a
// pattern run away. Images are only their words, because loading an address can carry words out.

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}|$)(.*)$/;
const DIVIDER = /^ {0,3}\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?$/;
const starts = (line) => [FENCE, HEADING, RULE, QUOTE, ITEM].some((it) => it.test(line));
const blank = (line) => !line.trim();

function markdown(text, cite) {
  return blocks(text.replace(/\r\n?/g, '\n').replaceAll('\t', '    ').split('\n'), cite, 0);
}

function blocks(lines, cite, depth) {
  const out = document.createDocumentFragment();
  let i = 0;
  const takeWhile = (test) => {
    const from = i;
    while (i < lines.length && test(lines[i])) i += 1;
    return lines.slice(from, i);
  };
  while (i < lines.length) {
    const line = lines[i];
    let match;
    if (blank(line)) {
      i += 1;
    } else if ((match = FENCE.exec(line))) {
      const [, fence] = match;
      i += 1;
      const code = takeWhile((it) => !(it.trim().startsWith(fence) && !it.trim().replaceAll(fence[0], '')));
      i += 1; // the closing fence, which is missing while the answer is still coming
      out.append(make('pre', { tabindex: '0' }, make('code', {}, code.join('\n'))));
    } else if ((match = HEADING.exec(line))) {
      i += 1;
      out.append(make(`h${Math.min(6, match[1].length + 2)}`, {}, ...inline(match[2], cite))); // below the question's h2
    } else if (RULE.test(line)) {
      i += 1;
      out.append(make('hr'));
    } else if (depth < 8 && QUOTE.test(line)) {
      const inner = takeWhile((it) => QUOTE.test(it) || !(blank(it) || starts(it)));
      out.append(make('blockquote', {}, blocks(inner.map((it) => it.replace(QUOTE, '')), cite, depth + 1)));
    } else if (depth < 8 && ITEM.test(line)) {
      const list = takeList(lines, i, cite, depth);
      i = list.end;
      out.append(list.element);
    } else if (line.includes('|') && DIVIDER.test(lines[i + 1] ?? '')) {
      const [head, , ...rows] = takeWhile((it) => it.includes('|'));
      const row = (it, cell) => make('tr', {}, ...it.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map((text) => make(cell, {}, ...inline(text.trim(), cite))));
      const table = make('table', {}, make('thead', {}, row(head, 'th')), make('tbody', {}, ...rows.map((it) => row(it, 'td'))));
      out.append(make('div', { class: 'table', tabindex: '0' }, table));
    } else {
      i += 1;
      const text = [line, ...takeWhile((it) => !blank(it) && !starts(it))].map((it) => it.trimStart()).join('\n');
      out.append(make('p', {}, ...inline(text.trimEnd(), cite)));
    }
  }
  return out;
}

/** The list that begins at line `i`, and the line where it ends. */
function takeList(lines, i, cite, depth) {
  const [, , marker] = ITEM.exec(lines[i]);
  const kind = marker.slice(-1); // "-", "*", "+", "." or ")": another one begins another list
  const list = /\d/.test(marker) ? make('ol', { start: parseInt(marker, 10) }) : make('ul');
  const isItem = (it) => !RULE.test(it) && ITEM.exec(it)?.[2].slice(-1) === kind;
  const afterBlanks = (from) => {
    while (from < lines.length && blank(lines[from])) from += 1;
    return from;
  };
  while (i < lines.length && isItem(lines[i])) {
    const [, indent, mark, gap, text] = ITEM.exec(lines[i]);
    const offset = indent.length + mark.length + (gap.length || 1);
    const inside = (it) => it !== undefined && it.search(/\S/) >= offset;
    const inner = [text];
    for (i += 1; i < lines.length; i += 1) {
      if (blank(lines[i])) {
        if (!inside(lines[afterBlanks(i)])) break;
        inner.push('');
      } else if (inside(lines[i])) inner.push(lines[i].slice(offset));
      else if (starts(lines[i])) break;
      else inner.push(lines[i].trimStart());
    }
    list.append(make('li', {}, blocks(inner, cite, depth + 1)));
    const next = afterBlanks(i);
    if (next < lines.length && isItem(lines[next])) i = next;
  }
  return { element: list, end: i };
}

const INLINE = new RegExp([
  / *(?<br> {2}|\\)\n/,
  /\\(?<escaped>[!-/:-@[-`{-~])/,
  /(?<!`)(?<ticks>`{1,9})(?!`)(?<code>[^]{1,2000}?)(?<!`)\k<ticks>(?!`)/,
  /(?<image>!?)\[(?<label>(?:\\.|[^[\]\\]|\[[^[\]]{0,200}\]){0,500})\]\(\s{0,3}<?(?<href>(?:[^\s<>()]|\([^\s<>()]{0,200}\)){0,1000})>?(?:\s{1,3}(?:"[^"]{0,300}"|'[^']{0,300}'))?\s{0,3}\)/,
  /<?\b(?<bare>https?:\/\/[^\s<>`"\]]{0,1000}[^\s<>`"\].,;:!?'*_)])>?/,
  /\[(?<cite>\d{1,3})\]/,
  /\*\*(?=\S)(?<strong>[^]{1,2000}?)(?<=\S)\*\*(?!\*)/,
  /(?<!\w)__(?=\S)(?<strong2>[^]{1,2000}?)(?<=\S)__(?!\w)/,
  /\*(?=[^\s*])(?<em>[^]{1,2000}?)(?<=[^\s*])\*(?!\*)/,
  /(?<!\w)_(?=[^\s_])(?<em2>[^]{1,2000}?)(?<=[^\s_])_(?!\w)/,
].map((it) => it.source).join('|'), 'g');

/** The nodes of a run of text. Without `cite`, `[1]` is only text. */
function inline(text, cite, depth = 0) {
  if (depth > 8) return [text];
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > from) nodes.push(text.slice(from, match.index));
    from = match.index + match[0].length;
    const it = match.groups;
    const inner = (words) => inline(words, cite, depth + 1);
    if (it.br) nodes.push(make('br'));
    else if (it.escaped) nodes.push(it.escaped);
    else if (it.code) nodes.push(make('code', {}, it.code.replace(/\n/g, ' ').replace(/^ (.*\S.*) $/, '$1')));
    else if (it.label !== undefined) nodes.push(...linked(it.image ? '' : it.href, inline(it.label, null, depth + 1)));
    else if (it.bare) nodes.push(...linked(it.bare, [it.bare]));
    else if (it.cite) nodes.push(cite ? cite(it.cite) : match[0]);
    else if (it.strong ?? it.strong2) nodes.push(make('strong', {}, ...inner(it.strong ?? it.strong2)));
    else nodes.push(make('em', {}, ...inner(it.em ?? it.em2)));
  }
  if (from < text.length) nodes.push(text.slice(from));
  return nodes;
}

/** A link, if its address is one to follow; else only its words. */
function linked(address, words) {
  const href = safe(address);
  return href ? [make('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, ...words)] : words;
}

/** The whole address if it is http, https or relative to one of these; else null. */
function safe(address) {
  try {
    const url = new URL(address, document.baseURI);
    return address && /^https?:$/.test(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

// ---- Signing in ----

let registering = false;

function openSign(why) {
  showSign(false);
  $('sign-why').textContent = why;
  $('email').value = reader?.email ?? $('email').value;
  $('keep').checked = Boolean(reader?.keep);
  if (!$('sign').open) $('sign').showModal();
  $($('email').value ? 'password' : 'email').focus();
}

function showSign(register) {
  registering = register;
  $('sign-title').textContent = $('sign-go').textContent = register ? 'Create an account' : 'Sign in';
  $('sign-switch').textContent = register ? 'Already have an account? Sign in' : 'New here? Create an account';
  $('rule').hidden = !register;
  $('password').minLength = register ? 8 : 0;
  $('password').autocomplete = register ? 'new-password' : 'current-password';
  $('sign-error').textContent = '';
}

async function sign(event) {
  event.preventDefault();
  const [email, password] = [$('email').value.trim(), $('password').value];
  $('sign-error').textContent = '';
  $('sign-go').disabled = true;
  try {
    if (registering) await post('auth/register', { email, password });
    const login = await post('auth/login', { email, password });
    signedIn(await login.json());
  } catch (error) {
    if (error.status === 409) showSign(false); // they have an account
    $('sign-error').textContent = error.message;
    $('password').select();
  }
  $('sign-go').disabled = false;
}

function signedIn({ user_id, email, access_token }) {
  reader = { user_id, email, token: access_token, keep: $('keep').checked };
  if (!reader.keep) forget(); // a copy from before
  if (conversation.owner && conversation.owner !== user_id) replaceConversation(); // it was somebody else's
  $('password').value = '';
  $('sign').close();
  draw();
  remember();
  announce(`Signed in as ${email}.`);
  box.focus();
}

function newConversation() {
  replaceConversation();
  draw();
  remember();
  announce('New conversation.');
  box.focus();
}

function logOut() {
  reader = null;
  newConversation();
  forget(); // last, so that nothing is written after it
  announce('Logged out.');
}

// ---- The page ----

/** The box grows with its text; near the limit it counts. */
function fit() {
  box.style.height = 'auto';
  box.style.height = `${box.scrollHeight}px`;
  const length = [...box.value.trim()].length;
  $('count').textContent = length > LONGEST_QUESTION * 0.9 ? `${length} of ${LONGEST_QUESTION} characters` : '';
  $('count').classList.toggle('over', length > LONGEST_QUESTION);
  $('send').disabled = !running && (length === 0 || length > LONGEST_QUESTION);
}

function submit() {
  if (running || $('send').disabled) return;
  const question = box.value.trim();
  box.value = '';
  ask(question);
}

on('composer', 'submit', (event) => event.preventDefault());
on('send', 'click', (event) => {
  if (!running) submit();
  else if (event.detail < 2) stop(); // the second half of a double click on "Ask" is no "Stop"
});
on('question', 'input', fit);
on('question', 'keydown', (event) => {
  // While an input method composes, Enter chooses a word (229 is how Safari says so).
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  submit();
});
document.addEventListener('keydown', (event) => {
  if ($('sign').open || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === 'Escape') stop();
  if (event.key === '/' && !/^(INPUT|TEXTAREA)$/.test(event.target.tagName)) {
    event.preventDefault();
    box.focus();
  }
});
on('new', 'click', newConversation);
on('sign-in', 'click', () => openSign(reader ? EXPIRED : ''));
on('log-out', 'click', logOut);
on('sign-form', 'submit', sign);
on('sign-switch', 'click', () => {
  showSign(!registering);
  $('email').focus();
});
on('sign-close', 'click', () => $('sign').close());
addEventListener('resize', fit);
// Leaving stops the answer: cut off by the browser, which happens before `pagehide`, it would look
// like a failure. But phones know only that.
for (const leaving of ['beforeunload', 'pagehide']) {
  addEventListener(leaving, () => {
    if (running) remember();
    stop();
  });
}
addEventListener('storage', (event) => {
  // Logging out in one tab is for all that stay signed in.
  if (event.key === KEY && event.newValue === null && reader?.keep) logOut();
});

recall();
draw();
if (conversation.turns.length) scrollTo(0, 1e9);
if (matchMedia('(hover: hover)').matches) box.focus({ preventScroll: true }); // else a keyboard would pop up
