// A reader without an account: asks, follows the sources, asks on.
import assert from 'node:assert/strict';
import { FOLLOW_UP, QUESTION, answerOf, askAndRead, base, last, noteOf, shoot, story, words } from '../harness.mjs';

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
    await answerOf(page).locator('button.cite').first().click();
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
