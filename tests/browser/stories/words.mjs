// What an answer may be made of, how it grows, and how it leaves the page.
import assert from 'node:assert/strict';
import { QUESTION, answerOf, ask, askAndRead, ended, last, model, relay, shoot, story, until } from '../harness.mjs';
import { events, final } from '../relay.mjs';

const RICH = String.raw`The area is \(\pi r^2\), costs are $$a_1 + b_2$$.

\[
E = mc^2
- 1
\]

~~Old~~ and H<sub>2</sub>O, one<br>two, a&nbsp;&amp;&nbsp;b.

- [x] done
- [ ] not yet

| left | middle | right |
|:-----|:------:|------:|
| 1    | 2      | 3     |`;

const HEBREW = 'Lectern הוא תוכנה שעונה על שאלות של קוראים מתוך הספר [1].\n\n- הפקודה `lectern ingest` קוראת את הספר\n- אחר כך שואלים\n\n```\nlectern ingest path/to/book\n```\n\nAn English word at the end.';

const source = { n: 1, title: 'Ingest', url: 'https://book.example/ingest', path: 'ingest.md', quote: 'read' };

await story('words', {}, async ({ page, check }) => {
  await page.addInitScript(() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; });
  await page.goto(relay.url);
  const answer = async (text) => {
    relay.next = events(final(text, { sources: [source] }));
    await askAndRead(page, QUESTION);
    return answerOf(page);
  };
  await check('formulas stay word for word', async () => {
    const at = await answer(RICH);
    await shoot(page, 'words');
    assert.deepEqual(await at.locator('p code').allTextContents(), [String.raw`\(\pi r^2\)`, '$$a_1 + b_2$$']);
    assert.equal(await at.locator('pre').textContent(), '\\[\nE = mc^2\n- 1\n\\]');
  });
  await check('what else models write is drawn, and not shown raw', async () => {
    const at = answerOf(page);
    assert.equal(await at.locator('del').textContent(), 'Old');
    assert.equal(await at.locator('sub').textContent(), '2');
    assert.equal(await at.locator('p br').count(), 1);
    assert.match(await at.innerText(), /a\u00a0&\u00a0b/);
    assert.match(await at.locator('.task').first().innerText(), /^☑ done/);
    assert.deepEqual(await at.locator('td').evaluateAll((all) => all.map((it) => getComputedStyle(it).textAlign)), ['start', 'center', 'end']);
  });
  await check('each part has the direction of its words, and code has its own', async () => {
    const at = await answer(HEBREW);
    const direction = (it) => at.locator(it).first().evaluate((element) => getComputedStyle(element).direction);
    for (const it of ['p', 'ul', 'li p']) assert.equal(await direction(it), 'rtl', it);
    for (const it of ['pre', 'li code', ':scope > p:last-child']) assert.equal(await direction(it), 'ltr', it);
    await shoot(page, 'rtl');
  });
  await check('a mark is a button of a fair size, reached by Space, and no part of the text', async () => {
    const mark = answerOf(page).locator('button.cite');
    const { width, height } = await mark.boundingBox();
    assert(width >= 24 && height >= 24, `${width} by ${height}`);
    await mark.press('Space');
    assert.equal(await page.evaluate(() => document.activeElement.dataset.n), '1');
    assert.equal(await mark.evaluate((it) => getComputedStyle(it).userSelect), 'none');
  });
  await check('no line begins with a mark', async () => {
    const starts = await page.evaluate(() => {
      const text = document.querySelector('.turn:last-child .a > p');
      const [word, mark] = [text.querySelector('.stuck').firstChild, text.querySelector('.cite')];
      const range = document.createRange();
      range.selectNode(word);
      let count = 0;
      for (let width = 80; width < 500; width += 5) {
        text.style.width = `${width}px`;
        if (mark.getBoundingClientRect().top > range.getBoundingClientRect().bottom) count += 1;
      }
      text.style.width = '';
      return count;
    });
    assert.equal(starts, 0);
  });
  await check('an answer is copied with its sources, and code alone', async () => {
    await last(page).getByRole('button', { name: 'Copy the answer' }).click();
    await until(() => page.evaluate(() => window.copied), `${HEBREW}\n\n[1] Ingest https://book.example/ingest`);
    await last(page).getByRole('button', { name: 'Copy the code' }).click();
    await until(() => page.evaluate(() => window.copied), 'lectern ingest path/to/book');
  });
  await check('what grows stays where the reader scrolled it', async () => {
    const wide = 'wide '.repeat(80);
    const held = model.hold([`Look:\n\n\`\`\`\n${wide}`, `and on\n${wide}\n\`\`\`\n\nDone.`]);
    await ask(page, QUESTION);
    const code = answerOf(page).locator('pre');
    await code.waitFor();
    await code.evaluate((it) => {
      it.focus();
      it.scrollLeft = 200;
      it.isTheSame = true;
    });
    held.release();
    await ended(page);
    await until(() => code.textContent(), `${wide}and on\n${wide}`);
    assert.deepEqual(await code.evaluate((it) => [it.isTheSame, it.scrollLeft, it === document.activeElement]), [true, 200, true]);
  });
  await check('the page is named after the question', async () => assert.equal(await page.title(), `${QUESTION} · Ask the book`));
  await check('print has the text and no buttons', async () => {
    await page.emulateMedia({ media: 'print' });
    assert.equal(await page.locator('button:visible:not(.cite)').count(), 0);
    assert(!await page.locator('#composer').isVisible());
    await shoot(page, 'print');
  });
});
