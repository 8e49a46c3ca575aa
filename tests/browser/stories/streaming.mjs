// The answer while it is written: stopped, lost, left and taken up again.
import assert from 'node:assert/strict';
import { QUESTION, answerOf, ask, askAndRead, askHeld, ended, join, last, model, noteOf, relay, reloadAnew, shoot, story, until } from '../harness.mjs';
import { cutOff, cutUp, problem } from '../relay.mjs';

for (const who of ['guest', 'reader']) {
  await story(`streaming, ${who}`, {}, async ({ page, check }) => {
    await page.goto(relay.url);
    if (who === 'reader') await join(page);
    const whole = await askAndRead(page, QUESTION);
    await check('text is on the screen while the rest is not written yet', async () => {
      const held = await askHeld(page);
      assert.equal(await page.locator('#send').innerText(), 'Stop');
      assert(whole.startsWith((await answerOf(page).innerText()).trim()));
      held.release();
      await ended(page);
      assert.equal(await answerOf(page).innerText(), whole);
    });
    await check('Stop keeps what there was, says so, and the model is no longer listened to', async () => {
      const held = await askHeld(page);
      const partial = await answerOf(page).innerText();
      await page.click('#send');
      await ended(page);
      await held.stopped;
      assert.equal(await answerOf(page).innerText(), partial);
      assert.match(await noteOf(page), /Stopped here/);
      const { turns } = await page.evaluate(() => JSON.parse(sessionStorage.getItem('lectern')).conversation);
      assert(turns.at(-1).sources, 'the page stopped listening before the server said that it stopped');
      const [again, composer] = [await last(page).locator('.retry').boundingBox(), await page.locator('#composer').boundingBox()];
      assert(again.y + again.height <= composer.y + 14, 'what can be done now is not to be seen');
      await shoot(page, `stopped-${who}`);
    });
    await check('Escape stops, and "Try again" gets the whole answer in its place', async () => {
      const turns = await page.locator('.turn').count() + 1;
      await askHeld(page);
      await page.keyboard.press('Escape');
      await ended(page);
      await last(page).locator('.retry').click();
      await until(() => answerOf(page).innerText(), new RegExp(whole.slice(-20).replace(/\W/g, '.')));
      await ended(page);
      assert.equal(await answerOf(page).innerText(), whole);
      if (who === 'reader') await reloadAnew(page); // the server has it once, too
      await until(() => page.locator('.turn').count(), turns);
    });
    await check('Stop before the first word', async () => {
      const held = model.hold(['', 'never said']);
      await ask(page, QUESTION);
      await page.click('#send');
      await ended(page);
      held.release();
      assert.match(await noteOf(page), /Stopped before/);
    });
    await check('a reload in the middle goes on where it was', async () => {
      const held = await askHeld(page);
      await page.reload();
      await until(() => page.locator('#send').innerText(), 'Stop');
      held.release();
      await ended(page);
      assert.equal(await answerOf(page).innerText(), whole);
      assert(await last(page).locator('.sources li').count() > 0);
    });
    await check('an answer that ended while the page was away is there', async () => {
      const held = await askHeld(page);
      await page.goto('about:blank');
      held.release();
      await page.goto(relay.url);
      await until(() => answerOf(page).innerText(), whole);
      await ended(page);
    });
    await check('a lost connection is told, and the answer goes on by itself', async () => {
      const held = await askHeld(page);
      const partial = (await answerOf(page).innerText()).trim();
      relay.resumed = [];
      relay.goDown();
      await page.locator('.note.lost').waitFor();
      assert.equal((await answerOf(page).innerText()).trim(), partial);
      await shoot(page, `lost-${who}`);
      held.release();
      relay.comeBack();
      await ended(page);
      assert.equal(await answerOf(page).innerText(), whole);
      assert.equal(await page.locator('.note.lost').count(), 0);
      assert.match(relay.resumed.at(-1), /^[0-9a-f-]{36}:\d+$/, 'the page did not say where it stands');
    });
    await check('a stream that a proxy cut off goes on too', async () => {
      relay.next = cutOff;
      assert.equal(await askAndRead(page, QUESTION), whole);
    });
    await check('a stream in pieces of one to three bytes reads the same', async () => {
      relay.next = cutUp;
      assert.equal(await askAndRead(page, QUESTION), whole);
      assert(await last(page).locator('.sources li').count() > 0);
    });
  });
}

await story('interrupted', {}, async ({ page, check }) => {
  await page.goto(relay.url);
  await join(page);
  await check('another window finds the answer that is being written, and follows it', async () => {
    await askAndRead(page, QUESTION);
    const held = await askHeld(page);
    const other = await page.context().newPage();
    const account = await page.evaluate(() => JSON.parse(sessionStorage.getItem('lectern')).reader);
    await other.addInitScript((reader) => sessionStorage.getItem('lectern') ?? sessionStorage.setItem('lectern', JSON.stringify({ reader, conversation: { turns: [] } })), account);
    await other.goto(relay.url);
    await other.locator('#conversations a.open').click();
    await until(() => other.locator('#send').innerText(), 'Stop');
    held.release();
    await ended(page);
    await ended(other);
    assert.equal(await answerOf(other).innerText(), await answerOf(page).innerText());
    await other.close();
  });
  await check('a run that is gone shows what there was, and "Try again"', async () => {
    const held = await askHeld(page);
    await page.route('**/api/v1/chat/runs/*', (route) => route.fulfill({ status: 404, contentType: 'application/problem+json', body: '{"detail":"No such run."}' }));
    relay.goDown();
    await page.locator('.note.lost').waitFor();
    relay.comeBack();
    await ended(page);
    held.release();
    assert.match(await noteOf(page), /broke off/);
    assert((await answerOf(page).innerText()).trim());
    await page.unroute('**/api/v1/chat/runs/*');
    await last(page).locator('.retry').click();
    await until(() => last(page).locator('.sources li').count().then((it) => it > 0), true);
  });
  await check('an answer that nobody goes on with broke off, and "Try again" asks anew', async () => {
    const held = await askHeld(page);
    await page.route('**/api/v1/chat/runs/*', (route) => route.fulfill({ contentType: 'text/event-stream', body: '' }));
    relay.goDown();
    await page.locator('.note.lost').waitFor();
    relay.comeBack();
    await ended(page);
    held.release();
    assert.match(await noteOf(page), /broke off/);
    await page.unroute('**/api/v1/chat/runs/*');
    await last(page).locator('.retry').click();
    await until(() => last(page).locator('.sources').count(), 1);
  });
  await check('"Try again" for a lost answer without a rest asks anew at once', async () => {
    const asked = relay.seen.length;
    const interrupted = JSON.stringify({ content: 'The answer broke off.', status: 'error', code: 'interrupted', retryable: true });
    await page.route('**/api/v1/chat/runs/*', (route) => route.fulfill({ contentType: 'text/event-stream', body: `data: ${interrupted}\n\n` }));
    await page.addInitScript(() => {
      if (window.name !== 'lost') return;
      window.name = '';
      const kept = JSON.parse(sessionStorage.getItem('lectern'));
      const failure = { text: 'The connection was lost.', retry: true, isLost: true };
      Object.assign(kept.conversation, { id: undefined });
      Object.assign(kept.conversation.turns.at(-1), { state: 'failed', sources: [], failure });
      sessionStorage.setItem('lectern', JSON.stringify(kept));
    });
    await page.evaluate(() => {
      history.replaceState(null, '', location.pathname); // else the server tells the answer
      window.name = 'lost';
    });
    await page.reload();
    await last(page).locator('.retry').click();
    await until(() => last(page).locator('.sources').count(), 1);
    assert.equal(relay.seen.length, asked + 1);
    await page.unroute('**/api/v1/chat/runs/*');
  });
  await check('"Try again" begins a new conversation where nothing was kept of the first one', async () => {
    await page.click('#history-new');
    const held = await askHeld(page);
    held.breakOff();
    await ended(page);
    relay.next = problem(404, 'not-found', 'There is no such conversation.');
    await last(page).locator('.retry').click();
    await until(() => last(page).locator('.sources').count(), 1);
    assert.equal(await page.locator('.turn').count(), 1);
    assert.equal(relay.seen.at(-1).conversation_id, undefined);
  });
  await check('an answer that broke off is there after a reload, and "Try again" takes its place', async () => {
    await page.click('#history-new');
    const held = await askHeld(page);
    held.breakOff();
    await ended(page);
    const partial = await answerOf(page).innerText();
    await reloadAnew(page);
    await until(() => answerOf(page).innerText(), partial);
    assert.match(await noteOf(page), /broke off/);
    await shoot(page, 'interrupted');
    await last(page).locator('.retry').click();
    await until(() => last(page).locator('.sources').count(), 1);
    assert.equal(await page.locator('.turn').count(), 1);
    await reloadAnew(page);
    await until(() => page.locator('.turn .sources').count(), 1);
    assert.equal(await page.locator('.turn').count(), 1);
  });
});
