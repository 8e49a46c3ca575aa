// The sources of an answer: where each leads, and what it says there.

import { make } from './dom.js';
import { host } from './host.js';
import { DIVIDER, inline, safe } from './markdown.js';

/** The list below an answer. */
export function drawSources(sources) {
  const list = make('ol');
  for (const { n, title, url, path, quote } of sources) {
    const name = (title || path || `Source ${n}`).replaceAll(' > ', ' › ');
    const href = deepLink(url, quote);
    const head = href
      ? drawLink(href, name, n)
      : make('span', { class: 'title', tabindex: '-1', 'data-n': n }, name);
    const item = make('li', {}, make('span', { class: 'n' }, String(n)), head);
    if (quote) item.append(drawQuote(quote));
    list.append(item);
  }
  return make('section', { class: 'sources' }, make('h3', {}, 'Sources'), list);
}

/** Beside a book its pages open in the book's own window; all others, and all without a book, in a new tab. */
function drawLink(href, name, n) {
  if (new URL(href).origin === host) return make('a', { class: 'title', href, target: '_top', 'data-n': n }, name);
  return make('a', { class: 'title', href, target: '_blank', rel: 'noopener', 'data-n': n }, name, make('span', { class: 'hidden' }, ' (opens in a new tab)'));
}

/** The quote in one run. Its links would lead astray: they start from the book's page. */
function drawQuote(quote) {
  const text = quote.split('\n').map((it) => cells(it).filter(Boolean).join(' · ')).join(' ').replace(/\s+/g, ' ');
  const element = make('q', { dir: 'auto' }, ...inline(text));
  for (const link of element.querySelectorAll('a')) link.replaceWith(...link.childNodes);
  return element;
}

/** The source's address; where the browser can, it opens on the quoted words themselves. */
function deepLink(url, quote) {
  const href = url && safe(url);
  if (!href || !quote || !('fragmentDirective' in document) || href.includes(':~:')) return href;
  const shown = (line) => make('p', {}, ...inline(line.replace(/^\s*([-*+>]|#+|\d+[.)])\s+/, ''))).textContent.match(/\S+/g);
  const lines = quote.split('\n').flatMap(cells).map(shown).filter(Boolean);
  if (!lines.length) return href;
  // A range from the first to the last words, because those in between may cross a paragraph.
  const [first, last] = [lines[0], lines.at(-1)];
  const range = first === last && first.length <= 10 ? [first] : [first.slice(0, 5), last.slice(-5)];
  const directive = range.map((words) => encodeURIComponent(words.join(' ')).replaceAll('-', '%2D')).join(',');
  return `${href + (href.includes('#') ? '' : '#')}:~:text=${directive}`;
}

/** The cells of a row of a table, as its page shows them; other lines are one. */
function cells(line) {
  const row = /^\s*\|(.*)\|\s*$/.exec(line);
  return row && !DIVIDER.test(line) ? row[1].split(/(?<!\\)\|/).map((it) => it.trim()) : [line];
}
