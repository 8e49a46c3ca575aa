// The chat beside a book on another site, with a content policy and styles of its own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { QUESTION, base as alone, model, shoot, story, until } from '../harness.mjs';

/** Lectern at another origin of the book's own site, as `ask.book.example` is for `book.example`. */
const base = alone.replace('localhost', '127.0.0.1');

/** A book of two pages on a port of its own; `attributes` are those of the script. */
async function startBook() {
  const book = { attributes: 'defer', lectern: base };
  const style = 'html.dark body { background: rgb(20, 24, 40); color: rgb(230, 230, 240) } html.dark a { color: rgb(140, 180, 255) }'
    + 'body { margin: 2rem auto; max-width: 40rem; background: rgb(240, 246, 240); color: rgb(20, 40, 20); font: 18px/1.6 Georgia } a { color: rgb(0, 90, 60) }'
    + 'button, iframe, dialog { display: none !important; width: 5px !important; background: red !important } lectern-chat { display: none !important; visibility: hidden !important }'; // a book's styles know nothing of us
  const server = http.createServer((request, response) => {
    if (request.url === '/style.css') return void response.writeHead(200, { 'content-type': 'text/css' }).end(style);
    const { origin } = new URL(book.lectern);
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; style-src 'self'; script-src ${origin}; frame-src ${origin}`,
    });
    response.end(`<!doctype html><html lang="en"><title>Whales</title><meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/style.css">
      <script src="${book.lectern}embed.js" ${book.attributes}></script>
      <main><h1>Whales</h1><p id="p">A book is ingested with one command.</p><p><a href="/two">The next page</a></p>${'<p>The sea is wide.</p>'.repeat(40)}</main></html>`);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  book.url = `http://127.0.0.1:${server.address().port}/`;
  book.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return book;
}

const book = await startBook();
const chatOf = (page) => page.frameLocator('lectern-chat iframe');
const opener = (page) => page.locator('lectern-chat .open');
const dialog = (page) => page.locator('lectern-chat dialog');
const paperOf = (page) => chatOf(page).locator('body').evaluate((it) => getComputedStyle(it).backgroundColor);

async function select(page, id) {
  await page.evaluate((it) => getSelection().selectAllChildren(document.getElementById(it)), id);
}

await story('embed', {}, async ({ page, context, check }) => {
  const asked = [];
  context.on('request', (request) => asked.push(request.url()));
  await page.goto(book.url);
  await check('one small script and nothing else is loaded before the first click, and nothing moves', async () => {
    await opener(page).waitFor();
    assert.deepEqual(asked.filter((it) => it.startsWith(base)), [`${base}embed.js`]);
    const gzip = (await import('node:zlib')).gzipSync(fs.readFileSync('public/embed.js')).length;
    assert(gzip < 4096, `${gzip} bytes`);
    const shift = await page.evaluate(() => new Promise((done) => {
      new PerformanceObserver((list) => done(list.getEntries().length)).observe({ type: 'layout-shift', buffered: true });
      setTimeout(() => done(0), 300);
    }));
    assert.equal(shift, 0);
    await shoot(page, 'embed-closed');
  });
  await check('a selection offers to ask about it, and the answer rests on it', async () => {
    await select(page, 'p');
    const tip = page.locator('lectern-chat .tip');
    await tip.waitFor();
    await shoot(page, 'embed-selection');
    await tip.click();
    const chat = chatOf(page);
    await until(() => chat.locator('#about-text').innerText(), 'A book is ingested with one command.');
    assert.equal(await chat.locator('#about-page').innerText(), 'Whales');
    await shoot(page, 'embed-about');
    await chat.locator('#question').fill(QUESTION);
    await chat.locator('#send').click();
    await chat.locator('.turn .sources').waitFor();
    assert.equal(await chat.locator('.selected').innerText(), 'A book is ingested with one command.');
    assert.match(JSON.stringify(model.asked.at(-1)), /\[1\][^\[]*A book is ingested with one command/);
    assert(!await chat.locator('#about').isVisible());
    await shoot(page, 'embed');
  });
  await check('what is asked about leaves the screen with its button, and comes back with it', async () => {
    await page.evaluate(() => getSelection().removeAllRanges());
    await select(page, 'p');
    const tip = page.locator('lectern-chat .tip');
    await tip.waitFor();
    await page.evaluate(() => scrollTo(0, 1e5));
    await tip.waitFor({ state: 'hidden' });
    await page.evaluate(() => scrollTo(0, 0));
    await tip.waitFor();
    await page.evaluate(() => getSelection().removeAllRanges());
    await tip.waitFor({ state: 'hidden' });
  });
  await check('it wears the book’s colours and font, and follows a change to dark', async () => {
    await until(() => paperOf(page), 'rgb(240, 246, 240)');
    assert.match(await chatOf(page).locator('.a').first().evaluate((it) => getComputedStyle(it).fontFamily), /Georgia/);
    assert.equal(await chatOf(page).locator('a.title').first().evaluate((it) => getComputedStyle(it).color), 'rgb(0, 90, 60)');
    await page.evaluate(() => document.documentElement.classList.add('dark'));
    await until(() => paperOf(page), 'rgb(20, 24, 40)');
    assert.equal(await chatOf(page).locator('html').evaluate((it) => it.style.colorScheme), 'dark');
    await shoot(page, 'embed-dark');
    // A paper that one sees through lies on the window's own; a link that cannot be read on it is replaced.
    await page.evaluate(() => {
      document.documentElement.style.colorScheme = 'dark';
      document.body.style.background = 'rgb(20 24 40 / .6)';
      document.querySelector('a').style.color = 'rgb(30, 30, 60)';
    });
    await until(() => paperOf(page), /^rgb\((19|20), 2[123], 3[012]\)$/);
    assert.equal(await opener(page).evaluate((it) => getComputedStyle(it).color), 'rgb(230, 230, 240)');
    await page.evaluate(() => [document.documentElement, document.body, document.querySelector('a')].forEach((it) => it.removeAttribute('style')));
    await page.evaluate(() => document.documentElement.classList.remove('dark'));
  });
  await check('Tab stays in the chat, Escape closes it and gives the focus back', async () => {
    await chatOf(page).locator('#question').focus();
    for (let i = 0; i < 30; i += 1) {
      await page.keyboard.press(i < 15 ? 'Tab' : 'Shift+Tab');
      assert.equal(await page.evaluate(() => document.activeElement.tagName), 'LECTERN-CHAT', `after ${i} steps`);
    }
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'hidden' });
    await until(() => page.evaluate(() => document.activeElement.shadowRoot?.activeElement?.className), 'open');
  });
  await check('it is opened by the keyboard, with the conversation as it was', async () => {
    await page.keyboard.press('Enter');
    await dialog(page).waitFor();
    assert.equal(await chatOf(page).locator('.turn').count(), 1);
    await until(() => chatOf(page).locator('#question').evaluate((it) => it === document.activeElement), true);
  });
  await check('turning the page keeps the chat beside it', async () => {
    await page.locator('a', { hasText: 'The next page' }).click();
    await page.waitForURL(/two$/);
    await until(() => chatOf(page).locator('.turn').count(), 1);
    assert.notEqual(await page.evaluate(() => document.activeElement.tagName), 'LECTERN-CHAT');
    await chatOf(page).locator('#close').click();
    await dialog(page).waitFor({ state: 'hidden' });
    await page.reload();
    await opener(page).waitFor();
    assert(!await dialog(page).isVisible());
  });
  await check('a book that replaces its body keeps the chat', async () => {
    await opener(page).click();
    await until(() => chatOf(page).locator('.turn').count(), 1);
    await page.evaluate(() => document.body.replaceWith(document.body.cloneNode(true)));
    assert(await dialog(page).isVisible());
    await page.evaluate(() => { document.body.style.background = 'rgb(200, 220, 255)'; });
    await until(() => paperOf(page), 'rgb(200, 220, 255)');
    await chatOf(page).locator('#close').click();
    await dialog(page).waitFor({ state: 'hidden' });
  });
  await check('words from other windows are not heard', async () => {
    await opener(page).click();
    await page.locator('lectern-chat iframe.ready').waitFor();
    // Posted by a window to itself, and heard by its earlier listeners before we go on.
    const forge = (message) => new Promise((heard) => {
      addEventListener('message', () => heard(), { once: true });
      postMessage(message, '*');
    });
    await page.evaluate(forge, { type: 'lectern:close' });
    const frame = page.frames().find((it) => it.url().startsWith(base));
    await frame.evaluate(forge, { type: 'lectern:about', selection: 'Forged', page: 'x' });
    assert(await dialog(page).isVisible());
    assert(!await chatOf(page).locator('#about').isVisible());
  });
});

await story('embed, by attributes', {}, async ({ page, check }) => {
  book.attributes = 'defer data-label="Frag das Buch" data-position="left" data-lang="de" data-accent="#7a1f5c" data-background="#fff8f0" data-font="monospace"';
  await page.goto(book.url);
  await check('label, side, language and colours are the tag’s', async () => {
    assert.equal(await opener(page).innerText(), 'Frag das Buch');
    assert((await opener(page).boundingBox()).x < 100);
    assert.equal(await page.locator('lectern-chat').getAttribute('lang'), 'de');
    await opener(page).click();
    await until(() => paperOf(page), 'rgb(255, 248, 240)');
    await until(() => chatOf(page).locator('#send').evaluate((it) => getComputedStyle(it).fontFamily), 'monospace');
    await shoot(page, 'embed-attributes');
  });
  book.attributes = 'defer';
});

await story('embed, from another site', {}, async ({ page, check }) => {
  book.lectern = alone;
  await page.goto(book.url);
  await check('it answers, also where the browser gives a foreign frame no memory', async () => {
    await opener(page).click();
    await chatOf(page).locator('#question').fill(QUESTION);
    await chatOf(page).locator('#send').click();
    await chatOf(page).locator('.turn .sources').waitFor();
  });
  book.lectern = base;
});

for (const [name, viewport] of [['desktop', { width: 1200, height: 850 }], ['phone', { width: 390, height: 780 }]]) {
  await story(`embed, forbidden, ${name}`, { viewport }, async ({ page, check }) => {
    book.attributes = ''; // in the head, where there is no body yet
    await page.route((url) => url.searchParams.has('host'), (route) => route.fulfill({ contentType: 'text/html', headers: { 'content-security-policy': "frame-ancestors 'none'" }, body: '' }));
    await page.goto(book.url);
    await check('a frame that may not be shown can be closed, and does not come back', async () => {
      for (const close of [() => page.locator('lectern-chat .shut').click(), () => page.keyboard.press('Escape')]) {
        await opener(page).click();
        await dialog(page).waitFor();
        await until(() => page.evaluate(() => document.activeElement.shadowRoot?.activeElement?.className), 'shut');
        await shoot(page, `embed-forbidden-${name}`);
        await close();
        await dialog(page).waitFor({ state: 'hidden' });
      }
      await opener(page).click();
      await page.reload();
      await opener(page).waitFor();
      assert(!await dialog(page).isVisible());
    });
    book.attributes = 'defer';
  });
}

await story('embed, phone', { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }, async ({ page, check }) => {
  await page.goto(book.url);
  await check('the chat takes the whole window', async () => {
    await opener(page).click();
    await chatOf(page).locator('#question').waitFor();
    await page.locator('lectern-chat iframe.ready').waitFor();
    assert.deepEqual(await dialog(page).boundingBox(), { x: 0, y: 0, width: 390, height: 780 });
    await shoot(page, 'embed-phone');
    await chatOf(page).locator('#close').click();
    await dialog(page).waitFor({ state: 'hidden' });
  });
});

await story('embed, in the manual', {}, async ({ page, check }) => {
  await page.goto(`${alone}book/ingest.md`);
  await check('the sample book has its chat beside it', async () => {
    await opener(page).click();
    const chat = chatOf(page);
    await chat.locator('#question').fill(QUESTION);
    await chat.locator('#send').click();
    await chat.locator('.turn .sources').waitFor();
    await shoot(page, 'manual');
  });
  await check('a source opens in the book’s own window, with the chat beside it', async () => {
    await chatOf(page).locator('a.title').last().click();
    await page.waitForURL((it) => it.pathname.startsWith('/book/') && Boolean(it.hash));
    await until(() => chatOf(page).locator('.turn').count(), 1);
    await shoot(page, 'manual-source');
  });
});

book.close();
