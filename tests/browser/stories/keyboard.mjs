// Everything without a mouse.
import assert from 'node:assert/strict';
import { QUESTION, ended, last, newAccount, relay, shoot, signedIn, story, until } from '../harness.mjs';

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
  await check('a very low window keeps most of itself for the text', async () => {
    await page.setViewportSize({ width: 320, height: 256 });
    await page.evaluate(() => scrollTo(0, 400));
    const [header, composer] = [await page.locator('header').boundingBox(), await page.locator('#composer').boundingBox()];
    assert(header.y + header.height <= 0 && composer.height < 100, `the header ends at ${header.y + header.height}, the box takes ${composer.height}`);
    await shoot(page, 'low');
    await page.setViewportSize({ width: 1200, height: 850 });
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
  await check('an account, a question, an opinion, a name and a farewell, without a mouse', async () => {
    await page.keyboard.press('Enter');
    await page.locator('#sign-switch').press('Enter');
    const account = newAccount();
    await page.keyboard.type(account.email);
    await page.keyboard.press('Tab');
    await page.keyboard.type(account.password);
    await page.keyboard.press('Enter');
    await signedIn(page);
    await page.keyboard.type(QUESTION);
    await page.keyboard.press('Enter');
    await ended(page);
    await last(page).getByRole('button', { name: 'Bad answer' }).press('Enter');
    await page.keyboard.type('Too short.');
    await page.keyboard.press('Enter');
    await last(page).getByText('You said: Too short.').waitFor();
    await page.locator('#conversations a.open').waitFor();
    const menu = page.locator('#conversations button.icon');
    await menu.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.keyboard.type('By hand');
    await page.keyboard.press('Enter');
    await until(() => page.locator('#conversations a.open').evaluate((it) => it.firstChild.textContent), 'By hand');
    await until(() => menu.evaluate((it) => it === document.activeElement), true);
    await page.keyboard.press('Enter');
    for (let i = 0; i < 3; i += 1) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter'); // Delete
    await until(() => page.evaluate(() => document.activeElement.textContent), 'Keep');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await until(() => page.locator('#conversations li').count(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'search');
  });
});
