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
  await check('without the vendor’s script it says what is missing', async () => {
    await page.goto(base);
    await join(page);
    await page.goto(`${base}chatkit.html`);
    await page.locator('#state', { hasText: 'could not be loaded from cdn.platform.openai.com' }).waitFor();
    assert.deepEqual(wanted, ['https://cdn.platform.openai.com/deployments/chatkit/chatkit.js']);
  });
});
