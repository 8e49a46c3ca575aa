// What every story needs: the server, the relay in front of it, the model behind it, a browser, and words
// for what a reader does.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { startModel } from './model.mjs';
import { startRelay } from './relay.mjs';
import { startServer } from './server.mjs';

const [lectern, shots] = process.argv.slice(2);
if (!lectern) {
  console.error('usage: node page.mjs path/to/lectern [screenshot-dir]');
  process.exit(2);
}
if (shots) fs.mkdirSync(shots, { recursive: true });

export const QUESTION = 'How do I ingest a book?';
export const FOLLOW_UP = 'Which kinds of files can it read?';

function findBrowser() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const found = process.env.PATH.split(path.delimiter).flatMap((dir) => names.map((name) => path.join(dir, name))).find((it) => fs.existsSync(it));
  assert(found, 'no Chromium found: install one, or name it in CHROMIUM');
  return found;
}

export const model = await startModel();
const server = await startServer(lectern, model);
export const base = `${server.url}/`;
export const relay = await startRelay(base);
const browser = await chromium.launch({
  executablePath: findBrowser(),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const failures = [];

/** Runs a story in a browser that knows nothing of the others. */
export async function story(title, options, tell) {
  if (process.env.STORY && !title.includes(process.env.STORY)) return;
  const context = await browser.newContext({ viewport: { width: 1200, height: 850 }, colorScheme: 'light', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints = [];
  context.on('weberror', (it) => complaints.push(String(it.error())));
  // The browser itself reports refused requests and frames; those that a story provokes on purpose are no complaint.
  context.on('console', (message) => message.type() === 'error' && !/Failed to load resource|violates .*frame-ancestors/.test(message.text()) && complaints.push(message.text()));
  let step = 'open the page';
  const check = async (name, run) => {
    step = name;
    await run();
    console.log(`ok    ${title}: ${name}`);
  };
  try {
    Object.assign(relay, { next: null, seen: [], resumed: [], isDown: false });
    model.next = null;
    await tell({ page, context, check });
    await check('the browser has no complaint', () => assert.deepEqual(complaints, []));
  } catch (error) {
    failures.push(title);
    console.log(`FAIL  ${title}: ${step}: ${error.message}`);
    if (shots) await page.screenshot({ path: path.join(shots, `failed-${title.replace(/\W+/g, '-')}.png`) }).catch(() => {});
  }
  await context.close();
}

/** Ends everything, and the process. */
export async function finish() {
  relay.close();
  await browser.close();
  model.close();
  await server.close();
  if (failures.length) console.error(server.log().split('\n').slice(-20).join('\n'));
  console.log(failures.length ? `\n${failures.length} failed: ${failures.join(', ')}` : '\nAll is well.');
  process.exit(failures.length ? 1 : 0);
}

export const shoot = (page, name) => shots && page.screenshot({ path: path.join(shots, `${name}.png`) });
export const last = (page) => page.locator('.turn').last();
export const answerOf = (page) => last(page).locator('.a');
export const noteOf = (page) => last(page).locator('.note, .failure').allInnerTexts().then((it) => it.join('\n'));

/** Waits until something is so; the error says what it was instead. */
export async function until(read, expected) {
  let was;
  for (let tries = 0; tries < 150; tries += 1) {
    was = await read();
    const isSo = expected instanceof RegExp ? expected.test(was) : JSON.stringify(was) === JSON.stringify(expected);
    if (isSo) return;
    await new Promise((later) => { setTimeout(later, 100); });
  }
  assert.fail(`it stayed ${JSON.stringify(was)} instead of ${expected instanceof RegExp ? expected : JSON.stringify(expected)}`);
}

export async function ask(page, question) {
  await page.fill('#question', question);
  await page.click('#send');
}

/** Waits until the answer has ended, however it ended. */
export async function ended(page) {
  await page.waitForFunction(() => document.querySelector('#send').textContent === 'Ask');
}

export async function askAndRead(page, question) {
  await ask(page, question);
  await ended(page);
  const text = await answerOf(page).innerText();
  assert(text.trim(), `no answer to "${question}": ${await noteOf(page)}`);
  return text;
}

/** Asks a question whose answer stays held after its first words, which are on the screen then. */
export async function askHeld(page, question = QUESTION, text = undefined) {
  const held = model.hold(text);
  await ask(page, question);
  await page.waitForFunction(() => document.querySelector('.turn:last-child .a').textContent.trim());
  return held;
}

let accounts = 0;
export const newAccount = () => ({ email: `reader-${process.pid}-${accounts += 1}@example.org`, password: 'correct horse battery' });

/** Fills the sign-in dialog. */
export async function sign(page, { email, password }, { register = false, keep = false } = {}) {
  if (!await page.locator('#sign').isVisible()) await page.click('#sign-in');
  if (register) await page.click('#sign-switch');
  await page.fill('#email', email);
  await page.fill('#password', password);
  await page.setChecked('#keep', keep);
  await page.click('#sign-go');
}

export const signedIn = (page) => page.locator('#log-out').waitFor({ state: 'visible' });

/** A new account, signed in. */
export async function join(page) {
  const account = newAccount();
  await sign(page, account, { register: true });
  await signedIn(page);
  return account;
}

/** Loads the page in a tab that knows who is reading, and nothing of what was said: that is the server's. */
export async function reloadAnew(page) {
  await page.addInitScript(() => {
    if (window.name !== 'anew') return;
    window.name = '';
    const { reader } = JSON.parse(sessionStorage.getItem('lectern'));
    sessionStorage.setItem('lectern', JSON.stringify({ reader, conversation: { turns: [] } }));
  });
  await page.evaluate(() => { window.name = 'anew'; });
  await page.reload();
}

/** The words of a text as plain letters and digits, Markdown's link targets left out. */
export const words = (text) => text.replace(/\]\([^)]*\)/g, ']').toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
