// Contrast in both colour schemes, and rest for who wants it.
import assert from 'node:assert/strict';
import { QUESTION, askAndRead, join, relay, shoot, story, until } from '../harness.mjs';

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
    await join(page);
    await askAndRead(page, QUESTION);
    await until(() => page.locator('#conversations li').count(), 1);
    await page.locator('#conversations button.icon').click();
    await shoot(page, `desktop-${colorScheme}`);
    await check('text has a contrast of at least 4.5', async () => {
      const pairs = await page.evaluate(() => [...document.querySelectorAll('h1, h2, .q, .a p, .a code, button.cite, a.title, .sources q, .sources h3, .hints span, .quiet, .send, .open, time')]
        .filter((it) => it.offsetParent && it.textContent.trim())
        .map((it) => {
          let behind = it;
          while (/, 0\)$|transparent/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
          return [it.className || it.tagName, getComputedStyle(it).color, getComputedStyle(behind).backgroundColor];
        }));
      for (const [name, ink, paper] of pairs) assert(contrast(ink, paper) >= 4.5, `${name}: ${contrast(ink, paper).toFixed(2)}`);
      assert(colorScheme === 'light' ? contrast(pairs[0][2], 'rgb(0,0,0)') > 10 : contrast(pairs[0][2], 'rgb(0,0,0)') < 2);
    });
    await check('nothing moves for who asked for that', async () => assert.equal(await page.evaluate(() => document.getAnimations().length), 0));
  });
}
