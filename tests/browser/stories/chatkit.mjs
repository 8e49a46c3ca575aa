// The page that mounts OpenAI's ChatKit, as far as it goes without the vendor's script.
import assert from 'node:assert/strict';
import { base, join, story } from '../harness.mjs';

await story('chatkit', {}, async ({ page, context, check }) => {
  const wanted = [];
  await context.route('https://cdn.platform.openai.com/**', (route) => {
    wanted.push(route.request().url());
    return route.abort();
  });
  await check('who is not signed in is told to', async () => {
    await page.goto(`${base}chatkit.html`);
    await page.locator('#state', { hasText: 'Sign in' }).waitFor();
    assert.deepEqual(wanted, []);
  });
  await check('it is as dark as the page, and an expired token is told', async () => {
    await page.goto(base);
    await join(page);
    await page.emulateMedia({ colorScheme: 'dark' });
    const play = (route) => route.fulfill({ contentType: 'text/javascript', body: `customElements.define('openai-chatkit', class extends HTMLElement { setOptions(it) { window.options = it; } })` });
    await page.route('https://cdn.platform.openai.com/**', play);
    await page.route('**/api/chatkit', (route) => route.fulfill({ status: 401, contentType: 'application/json', body: '{}' }));
    await page.goto(`${base}chatkit.html`);
    await page.waitForFunction(() => window.options);
    assert.equal(await page.evaluate(() => window.options.theme.colorScheme), 'dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.waitForFunction(() => window.options.theme.colorScheme === 'light');
    await page.evaluate(() => window.options.entities.onClick({})); // a source without an address
    assert.equal(context.pages().length, 1);
    await page.evaluate(() => window.options.api.fetch(window.options.api.url));
    await page.locator('#state', { hasText: 'Sign in again' }).waitFor();
    await page.unroute('https://cdn.platform.openai.com/**');
  });
  await check('without the vendor’s script it says what is missing', async () => {
    await page.goto(`${base}chatkit.html`);
    await page.locator('#state', { hasText: 'could not be loaded from cdn.platform.openai.com' }).waitFor();
    assert.deepEqual(wanted, ['https://cdn.platform.openai.com/deployments/chatkit/chatkit.js']);
  });
});
