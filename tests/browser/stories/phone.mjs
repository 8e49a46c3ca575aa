// A window of the size of a phone.
import assert from 'node:assert/strict';
import { QUESTION, askAndRead, askHeld, ended, join, last, noteOf, relay, shoot, story, until } from '../harness.mjs';

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
  await check('what is touched is large enough, but for a word within a sentence', async () => {
    for (const button of await page.locator('button:visible:not(#guest-sign, .cite)').all()) assert((await button.boundingBox()).height >= 40, await button.innerText());
  });
  await check('a reader has the conversations in a drawer', async () => {
    await join(page);
    await askAndRead(page, QUESTION);
    assert(!await page.locator('#side').isVisible());
    await page.click('#menu');
    await page.locator('#drawer a.open').waitFor();
    await shoot(page, 'phone-drawer');
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
    await page.locator('#drawer li button.icon').click();
    await shoot(page, 'phone-actions');
    for (const button of await page.locator('#drawer button:visible').all()) assert((await button.boundingBox()).height >= 40, await button.innerText());
    await page.locator('#drawer li button.icon').click();
    await page.click('#drawer-close');
    await page.click('#new');
    assert.equal(await page.locator('.turn').count(), 0);
    await page.click('#menu');
    await page.locator('#drawer a.open').click();
    await until(() => page.locator('.q').allInnerTexts(), [QUESTION]);
    assert(!await page.locator('#drawer').isVisible());
  });
  await check('a reader stops, goes on, rates and renames with a thumb', async () => {
    await askHeld(page);
    await shoot(page, 'phone-running');
    await page.tap('#send');
    await ended(page);
    assert.match(await noteOf(page), /Stopped here/);
    await last(page).locator('.retry').tap();
    await until(() => last(page).locator('.sources').count(), 1);
    await last(page).getByRole('button', { name: 'Bad answer' }).tap();
    await last(page).getByPlaceholder('What was wrong?').waitFor();
    await page.evaluate(() => scrollTo(0, 1e6));
    await shoot(page, 'phone-feedback');
    await page.tap('#menu');
    await page.locator('#drawer li button.icon').tap();
    await page.getByRole('button', { name: 'Rename' }).tap();
    await page.getByLabel('Title').fill('On the train');
    await page.getByRole('button', { name: 'Save' }).tap();
    await page.locator('#drawer a.open', { hasText: 'On the train' }).waitFor();
    await shoot(page, 'phone-renamed');
  });
});
