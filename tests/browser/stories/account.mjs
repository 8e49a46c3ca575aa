// Signing in and out, and a token that runs out.
import assert from 'node:assert/strict';
import { FOLLOW_UP, QUESTION, ask, askAndRead, ended, newAccount, relay, shoot, sign, signedIn, story } from '../harness.mjs';
import { problem } from '../relay.mjs';

const account = newAccount();

await story('account', {}, async ({ page, check }) => {
  await page.goto(relay.url);
  await check('registers and is logged in', async () => {
    await page.click('#sign-in');
    await shoot(page, 'sign-in');
    await sign(page, account, { register: true });
    await signedIn(page);
    assert.equal(await page.locator('#who').innerText(), account.email);
  });
  await check('asks with the token, then within the same conversation', async () => {
    await askAndRead(page, QUESTION);
    await askAndRead(page, FOLLOW_UP);
    const [first, second] = relay.seen;
    assert.match(first.token, /^Bearer \S+/);
    assert.equal(first.conversation_id, undefined);
    assert(second.conversation_id, 'the follow-up named no conversation');
    assert.equal(second.history, undefined);
  });
  await check('a reload keeps the conversation and the sign-in', async () => {
    const before = await page.locator('#turns').innerText();
    await page.reload();
    assert.equal(await page.locator('#turns').innerText(), before);
    await askAndRead(page, QUESTION);
    assert.equal(relay.seen[2].conversation_id, relay.seen[1].conversation_id);
  });
  await check('a token that has run out: sign in again, the question is kept, and so is the conversation', async () => {
    relay.next = problem(401, 'unauthorized', 'Sign in first: this needs a valid token.');
    const turns = await page.locator('.turn').count();
    await ask(page, 'A question to keep');
    await page.locator('#sign').waitFor({ state: 'visible' });
    assert.match(await page.locator('#sign-why').innerText(), /run out/);
    assert.equal(await page.inputValue('#question'), 'A question to keep');
    assert.equal(await page.inputValue('#email'), account.email);
    assert.equal(await page.locator('.turn').count(), turns);
    await sign(page, account);
    await page.locator('#sign').waitFor({ state: 'hidden' });
    await page.click('#send');
    await ended(page);
    assert.equal(relay.seen.at(-1).conversation_id, relay.seen[1].conversation_id);
  });
  await check('logging out leaves nothing behind', async () => {
    await page.click('#log-out');
    assert.equal(await page.locator('.turn').count(), 0);
    assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0);
    await page.reload();
    assert(await page.locator('#sign-in').isVisible());
    assert.equal(await page.locator('.turn').count(), 0);
  });
  await check('a wrong password and a taken email are told in the dialog', async () => {
    await sign(page, { ...account, password: 'wrong horse' });
    await page.locator('#sign-error:not(:empty)').waitFor();
    assert.match(await page.locator('#sign-error').innerText(), /wrong/i);
    await sign(page, account, { register: true });
    await page.locator('#sign-error', { hasText: /already/ }).waitFor();
  });
  await check('signing in for good outlives the tab; what was asked in it does not', async () => {
    await sign(page, account, { keep: true });
    await signedIn(page);
    await askAndRead(page, QUESTION);
    const other = await page.context().newPage();
    await other.goto(relay.url);
    assert.equal(await other.locator('#who').textContent(), account.email);
    assert.equal(await other.locator('.turn').count(), 0);
    await other.locator('#conversations a.open').first().waitFor();
    await page.click('#log-out'); // and logging out in one tab logs out the other
    await other.locator('#sign-in').waitFor({ state: 'visible' });
    assert.equal(await other.evaluate(() => sessionStorage.length + localStorage.length), 0);
    await other.close();
  });
});
