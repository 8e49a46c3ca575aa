// The conversations of a reader with an account: found, opened, renamed, rated, exported and deleted.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { FOLLOW_UP, QUESTION, answerOf, askAndRead, askHeld, base, ended, join, last, relay, reloadAnew, shoot, sign, story, until, words } from '../harness.mjs';

const titles = (page) => page.locator('#conversations a.open').evaluateAll((all) => all.map((it) => it.firstChild.textContent));
const row = (page, title) => page.locator('#conversations li', { hasText: title });
const actions = async (page, title, action) => {
  await row(page, title).locator('button.icon').click();
  await row(page, title).getByRole('button', { name: action, exact: true }).click();
};

await story('history', {}, async ({ page, check }) => {
  await page.goto(relay.url);
  let account;
  await check('a guest is told that the tab keeps the conversation, and may sign in afterwards', async () => {
    assert.match(await page.locator('#guest').innerText(), /this tab only/);
    assert(!await page.locator('#side').isVisible());
    await askAndRead(page, 'What is a shelf?');
    account = await join(page);
    assert.equal(await page.locator('.turn').count(), 1);
    assert(!await page.locator('#guest').isVisible());
    await askAndRead(page, FOLLOW_UP);
    assert.equal(await page.locator('.turn').count(), 2);
    await until(() => titles(page), [FOLLOW_UP]);
    await page.reload();
    assert.equal(await page.locator('.turn').count(), 2);
  });
  await check('a new conversation comes to the top of the list, and its address names it', async () => {
    await page.click('#history-new');
    assert.equal(await page.locator('.turn').count(), 0);
    await askAndRead(page, QUESTION);
    await until(() => titles(page), [QUESTION, FOLLOW_UP]);
    assert.match(page.url(), /#c=[0-9a-f-]{36}$/);
    await shoot(page, 'history');
  });
  await check('a conversation opens from the list, and back and forward lead through them', async () => {
    const second = page.url();
    await row(page, FOLLOW_UP).locator('a.open').click();
    await until(() => page.locator('.q').allInnerTexts(), [FOLLOW_UP]);
    assert(await last(page).locator('.sources li').count() > 0);
    assert.equal(await page.locator('#conversations a[aria-current=page]').count(), 1);
    await page.goBack();
    await until(() => page.locator('.q').allInnerTexts(), [QUESTION]);
    assert.equal(page.url(), second);
    await page.goForward();
    await until(() => page.locator('.q').allInnerTexts(), [FOLLOW_UP]);
  });
  await check('an address leads to its conversation, after signing in where nobody is', async () => {
    const other = await page.context().newPage();
    await other.goto(page.url());
    await other.locator('#sign').waitFor({ state: 'visible' });
    await sign(other, account);
    await until(() => other.locator('.q').allInnerTexts(), [FOLLOW_UP]);
    await other.close();
  });
  await check('renaming in place: Escape leaves it, Enter keeps it', async () => {
    await actions(page, QUESTION, 'Rename');
    await page.keyboard.type('Something else');
    await page.keyboard.press('Escape');
    assert((await titles(page)).includes(QUESTION));
    await actions(page, QUESTION, 'Rename');
    await page.keyboard.type('All about ingesting');
    await page.keyboard.press('Enter');
    await until(() => titles(page), ['All about ingesting', FOLLOW_UP]);
    await page.reload();
    await until(() => titles(page), ['All about ingesting', FOLLOW_UP]);
  });
  await check('searching finds words of questions, answers and titles', async () => {
    await page.fill('#search', 'about ingesting');
    await until(() => titles(page), ['All about ingesting']);
    await page.fill('#search', 'zebra');
    await until(() => page.locator('#history-note').innerText(), 'Nothing found.');
    await shoot(page, 'history-nothing');
    await page.fill('#search', '');
    await until(() => titles(page), ['All about ingesting', FOLLOW_UP]);
  });
  await check('thumbs up, thumbs down with a reason, and both are there after a reload', async () => {
    const [up, down] = [last(page).getByRole('button', { name: 'Good answer' }), last(page).getByRole('button', { name: 'Bad answer' })];
    await up.click();
    await until(() => up.getAttribute('aria-pressed'), 'true');
    await down.click();
    await until(() => down.getAttribute('aria-pressed'), 'true');
    assert.equal(await up.getAttribute('aria-pressed'), 'false');
    await shoot(page, 'feedback');
    await page.keyboard.type('It misses PDF.');
    await Promise.all([page.waitForResponse(/feedback$/), page.keyboard.press('Enter')]);
    await last(page).getByText('You said: It misses PDF.').waitFor();
    await reloadAnew(page);
    await last(page).getByText('You said: It misses PDF.').waitFor();
    assert.equal(await down.getAttribute('aria-pressed'), 'true');
    await down.click();
    await until(() => down.getAttribute('aria-pressed'), 'false');
    assert(!await last(page).getByText('You said').isVisible());
  });
  await check('an export is a file with the question and the answer', async () => {
    const answer = await answerOf(page).innerText();
    await row(page, FOLLOW_UP).locator('button.icon').click();
    const [download] = await Promise.all([page.waitForEvent('download'), row(page, FOLLOW_UP).getByRole('button', { name: 'Export' }).click()]);
    assert.match(download.suggestedFilename(), /\.md$/);
    const text = fs.readFileSync(await download.path(), 'utf8');
    assert(text.includes(FOLLOW_UP) && words(text).join(' ').includes(words(answer).slice(0, 5).join(' ')), text);
  });
  await check('deleting asks first, and clears what was open', async () => {
    await actions(page, FOLLOW_UP, 'Delete');
    await shoot(page, 'history-delete');
    await page.locator('.deleting').getByRole('button', { name: 'Keep' }).click();
    assert.equal((await titles(page)).length, 2);
    await actions(page, FOLLOW_UP, 'Delete');
    await page.locator('.deleting').getByRole('button', { name: 'Delete' }).click();
    await page.locator('.deleting').waitFor({ state: 'detached' });
    assert.deepEqual(await titles(page), ['All about ingesting']);
    assert.equal(await page.locator('.turn').count(), 0);
    assert.doesNotMatch(page.url(), /#c=/);
    await page.goBack();
    await page.locator('#trouble', { hasText: 'no such conversation' }).waitFor();
  });
  await check('another one goes on while an answer is written, which is there later', async () => {
    await page.click('#history-new');
    const slowly = 'How do I ingest a book slowly?';
    const held = await askHeld(page, slowly);
    await row(page, 'All about ingesting').locator('a.open').click();
    await until(() => page.locator('.q').allInnerTexts(), [QUESTION]);
    assert.equal(await page.locator('#send').innerText(), 'Ask');
    held.release();
    await until(() => titles(page), [slowly, 'All about ingesting']);
    await row(page, slowly).locator('a.open').click();
    await until(() => page.locator('.turn .sources').count(), 1);
    await ended(page);
  });
  await check('a long conversation opens at its last question', async () => {
    for (const question of [FOLLOW_UP, QUESTION]) await askAndRead(page, question);
    await row(page, 'All about ingesting').locator('a.open').click();
    await until(() => page.locator('.turn').count(), 1);
    await page.locator('#conversations a.open').first().click();
    await until(() => page.locator('.turn').count(), 3);
    await until(() => last(page).boundingBox().then((it) => it.y > 0 && it.y < 400), true);
  });
  await check('older conversations come on demand', async () => {
    const token = await page.evaluate(() => JSON.parse(sessionStorage.getItem('lectern')).reader.token);
    for (let i = 0; i < 25; i += 1) {
      await fetch(new URL('api/v1/conversations', base), { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify({ title: `Number ${i}` }) });
    }
    await page.fill('#search', 'number');
    await until(() => titles(page).then((it) => it.length), 20);
    await page.click('#more');
    await until(() => titles(page).then((it) => it.length), 25);
    assert.equal(new Set(await titles(page)).size, 25);
    assert(!await page.locator('#more').isVisible());
  });
});
