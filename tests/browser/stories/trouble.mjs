// What goes wrong, in words that a reader understands.
import assert from 'node:assert/strict';
import { FOLLOW_UP, QUESTION, answerOf, ask, askAndRead, ended, join, last, noteOf, relay, shoot, story, until } from '../harness.mjs';
import { events, final, problem } from '../relay.mjs';

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
    await page.waitForFunction(() => !document.querySelector('.turn .failure'));
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

await story('trouble, and a reload', {}, async ({ page, check }) => {
  await page.goto(relay.url);
  await join(page);
  await check('what the server does not keep is still there', async () => {
    await askAndRead(page, QUESTION);
    relay.next = events(final('Not kept.', { saved: false }));
    await askAndRead(page, 'What is not kept?');
    relay.next = problem(429, 'too-many-requests', 'Too many questions.');
    await ask(page, FOLLOW_UP);
    await ended(page);
    const isOpened = page.waitForResponse(/conversations\/[0-9a-f-]+$/);
    await page.reload();
    await (await isOpened).finished();
    await until(() => page.locator('.q').allInnerTexts(), [QUESTION, 'What is not kept?', FOLLOW_UP]);
    assert.match(await noteOf(page), /Too many questions/);
    await last(page).locator('.retry').click();
    await until(() => last(page).locator('.sources').count(), 1);
  });
  await check('a draft is still in the box', async () => {
    await page.fill('#question', 'Half a quest');
    await page.reload();
    assert.equal(await page.inputValue('#question'), 'Half a quest');
  });
});
