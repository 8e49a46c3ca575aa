// Markdown, the part of it that answers use, straight into elements: no text can become markup.
//
// Repetitions are bounded, so that no text makes a pattern run away. Images are only their words, because
// loading an address can carry words out.

import { copyButton } from './copy.js';
import { make } from './dom.js';

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}|$)(.*)$/;
export const DIVIDER = /^ {0,3}\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?$/;
const starts = (line) => [FENCE, HEADING, RULE, QUOTE, ITEM].some((it) => it.test(line));
const blank = (line) => !line.trim();
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/g;

/**
 * An element with the direction of its own words. A third of them is enough: in Arabic and Hebrew many names
 * are Latin, also the first one, from which a browser would judge.
 */
function block(tag, attributes, ...children) {
  const element = make(tag, attributes, ...children);
  const text = element.textContent;
  const turned = text.match(RIGHT_TO_LEFT)?.length;
  element.dir = turned * 3 > text.match(/\p{L}/gu)?.length ? 'rtl' : 'ltr';
  return element;
}

/** Code, or a formula, as it was written. */
const verbatim = (text) => make('div', { class: 'code' }, make('pre', { tabindex: '0' }, make('code', {}, text)), ...copyButton('Copy the code'));

/** The nodes of a whole answer; `cite` makes the element of a mark such as `[1]`. */
export function markdown(text, cite) {
  return blocks(text.replace(/\r\n?/g, '\n').replaceAll('\t', '    ').split('\n'), cite, 0);
}

function blocks(lines, cite, depth) {
  const out = document.createDocumentFragment();
  let i = 0;
  const takeWhile = (test) => {
    const from = i;
    while (i < lines.length && test(lines[i])) i += 1;
    return lines.slice(from, i);
  };
  while (i < lines.length) {
    const line = lines[i];
    let match;
    if (blank(line)) {
      i += 1;
    } else if ((match = FENCE.exec(line))) {
      const [, fence] = match;
      i += 1;
      const code = takeWhile((it) => !(it.trim().startsWith(fence) && !it.trim().replaceAll(fence[0], '')));
      i += 1; // the closing fence, which is missing while the answer is still coming
      out.append(verbatim(code.join('\n')));
    } else if ((match = HEADING.exec(line))) {
      i += 1;
      out.append(block(`h${Math.min(6, match[1].length + 2)}`, {}, ...inline(match[2], cite))); // below the question's h2
    } else if (RULE.test(line)) {
      i += 1;
      out.append(make('hr'));
    } else if (depth < 8 && QUOTE.test(line)) {
      const inner = takeWhile((it) => QUOTE.test(it) || !(blank(it) || starts(it)));
      out.append(block('blockquote', {}, blocks(inner.map((it) => it.replace(QUOTE, '')), cite, depth + 1)));
    } else if (depth < 8 && ITEM.test(line)) {
      const list = takeList(lines, i, cite, depth);
      i = list.end;
      out.append(list.element);
    } else if ((match = formulaLength(lines, i))) {
      out.append(verbatim(lines.slice(i, i + match).join('\n')));
      i += match;
    } else if (line.includes('|') && DIVIDER.test(lines[i + 1] ?? '')) {
      const [head, divider, ...rows] = takeWhile((it) => it.includes('|'));
      const cells = (it) => it.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map((text) => text.trim());
      const sides = cells(divider).map((it) => (it.endsWith(':') ? { class: it.startsWith(':') ? 'middle' : 'end' } : {}));
      const row = (it, cell) => make('tr', {}, ...cells(it).map((text, n) => block(cell, sides[n] ?? {}, ...inline(text, cite))));
      const table = block('table', {}, make('thead', {}, row(head, 'th')), make('tbody', {}, ...rows.map((it) => row(it, 'td'))));
      out.append(make('div', { class: 'table', tabindex: '0' }, table));
    } else {
      i += 1;
      const text = [line, ...takeWhile((it) => !blank(it) && !starts(it) && !formulaLength(lines, i))].map((it) => it.trimStart()).join('\n');
      out.append(block('p', {}, ...inline(text.trimEnd(), cite)));
    }
  }
  return out;
}

/**
 * How many lines the formula has that begins with line `i`; 0 where none does, or its end is still coming.
 * Formulas in LaTeX stay word for word, because to draw them needs more than this page.
 */
function formulaLength(lines, i) {
  const close = { '\\[': '\\]', $$: '$$' }[lines[i].trim().slice(0, 2)];
  if (!close) return 0;
  for (let n = i; n < lines.length && !blank(lines[n]); n += 1) {
    const line = n === i ? lines[n].trim().slice(2) : lines[n].trimEnd();
    if (line.includes(close)) return line.endsWith(close) ? n - i + 1 : 0;
  }
  return 0;
}

/** The list that begins at line `i`, and the line where it ends. */
function takeList(lines, i, cite, depth) {
  const [, , marker] = ITEM.exec(lines[i]);
  const kind = marker.slice(-1); // "-", "*", "+", "." or ")": another one begins another list
  const [tag, attributes] = /\d/.test(marker) ? ['ol', { start: parseInt(marker, 10) }] : ['ul', {}];
  const items = [];
  const isItem = (it) => !RULE.test(it) && ITEM.exec(it)?.[2].slice(-1) === kind;
  const afterBlanks = (from) => {
    while (from < lines.length && blank(lines[from])) from += 1;
    return from;
  };
  while (i < lines.length && isItem(lines[i])) {
    const [, indent, mark, gap, text] = ITEM.exec(lines[i]);
    const offset = indent.length + mark.length + (gap.length || 1);
    const inside = (it) => it !== undefined && it.search(/\S/) >= offset;
    const task = /^\[([ xX])\] /.exec(text);
    const inner = [task ? `${task[1] === ' ' ? '☐' : '☑'} ${text.slice(4)}` : text];
    for (i += 1; i < lines.length; i += 1) {
      if (blank(lines[i])) {
        if (!inside(lines[afterBlanks(i)])) break;
        inner.push('');
      } else if (inside(lines[i])) inner.push(lines[i].slice(offset));
      else if (starts(lines[i])) break;
      else inner.push(lines[i].trimStart());
    }
    items.push(make('li', task ? { class: 'task' } : {}, blocks(inner, cite, depth + 1)));
    const next = afterBlanks(i);
    if (next < lines.length && isItem(lines[next])) i = next;
  }
  return { element: block(tag, attributes, ...items), end: i };
}

const INLINE = new RegExp([
  / *(?<br>(?: {2}|\\)\n|<br *\/?>\n?)/,
  /(?<formula>\\\([^]{1,1000}?\\\)|\\\[[^]{1,1000}?\\\]|\$\$[^$]{1,1000}\$\$)/,
  /\\(?<escaped>[!-/:-@[-`{-~])/,
  /(?<!`)(?<ticks>`{1,9})(?!`)(?<code>[^]{1,2000}?)(?<!`)\k<ticks>(?!`)/,
  /(?<image>!?)\[(?<label>(?:\\.|[^[\]\\]|\[[^[\]]{0,200}\]){0,500})\]\(\s{0,3}<?(?<href>(?:[^\s<>()]|\([^\s<>()]{0,200}\)){0,1000})>?(?:\s{1,3}(?:"[^"]{0,300}"|'[^']{0,300}'))?\s{0,3}\)/,
  /<?\b(?<bare>https?:\/\/[^\s<>`"\]]{0,1000}[^\s<>`"\].,;:!?'*_)])>?/,
  /\[(?<cite>\d{1,3})\]/,
  /\*\*(?=\S)(?<strong>[^]{1,2000}?)(?<=\S)\*\*(?!\*)/,
  /(?<!\w)__(?=\S)(?<strong2>[^]{1,2000}?)(?<=\S)__(?!\w)/,
  /~~(?=\S)(?<del>[^]{1,2000}?)(?<=\S)~~/,
  /<(?<tag>su[bp]|kbd)>(?<small>[^<>]{1,200})<\/\k<tag>>/,
  /&(?<entity>nbsp|amp|lt|gt|quot|apos|hellip|mdash|ndash|times|#\d{1,6}|#x[\da-fA-F]{1,5});/,
  /\*(?=[^\s*])(?<em>[^]{1,2000}?)(?<=[^\s*])\*(?!\*)/,
  /(?<!\w)_(?=[^\s_])(?<em2>[^]{1,2000}?)(?<=[^\s_])_(?!\w)/,
].map((it) => it.source).join('|'), 'g');

/** The nodes of a run of text. Without `cite`, `[1]` is only text. */
export function inline(text, cite, depth = 0) {
  if (depth > 8) return [text];
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > from) nodes.push(text.slice(from, match.index));
    from = match.index + match[0].length;
    const it = match.groups;
    const inner = (words) => inline(words, cite, depth + 1);
    if (it.br) nodes.push(make('br'));
    else if (it.formula) nodes.push(make('code', {}, it.formula));
    else if (it.escaped) nodes.push(it.escaped);
    else if (it.entity) nodes.push(character(it.entity));
    else if (it.code) nodes.push(make('code', {}, it.code.replace(/\n/g, ' ').replace(/^ (.*\S.*) $/, '$1')));
    else if (it.label !== undefined) nodes.push(...linked(it.image ? '' : it.href, inline(it.label, null, depth + 1)));
    else if (it.bare) nodes.push(...linked(it.bare, [it.bare]));
    else if (it.cite && cite) stick(nodes, cite(it.cite));
    else if (it.cite) nodes.push(match[0]);
    else if (it.strong ?? it.strong2) nodes.push(make('strong', {}, ...inner(it.strong ?? it.strong2)));
    else if (it.del) nodes.push(make('del', {}, ...inner(it.del)));
    else if (it.small) nodes.push(make(it.tag, {}, ...inner(it.small)));
    else nodes.push(make('em', {}, ...inner(it.em ?? it.em2)));
  }
  if (from < text.length) nodes.push(text.slice(from));
  return nodes;
}

const CHARACTERS = { nbsp: '\u00a0', amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", hellip: '…', mdash: '—', ndash: '–', times: '×' };

/** What an entity stands for; it is text like any other. */
function character(entity) {
  const code = entity.startsWith('#x') ? parseInt(entity.slice(2), 16) : Number(entity.slice(1));
  return CHARACTERS[entity] ?? String.fromCodePoint(code);
}

/** Adds a mark in one unbroken run with the end of the word before it, so that no line begins with the mark alone. */
function stick(nodes, mark) {
  const text = typeof nodes.at(-1) === 'string' ? nodes.pop() : '';
  const [end] = /\S{0,8} ?$/u.exec(text);
  if (end.length < text.length) nodes.push(text.slice(0, text.length - end.length));
  const before = nodes.at(-1);
  const isAfterElement = !end.trim() && before?.textContent?.length <= 20; // short code, or another mark
  nodes.push(make('span', { class: 'stuck' }, ...(isAfterElement ? [nodes.pop()] : []), ...(end ? [end] : []), mark));
}

/** A link, if its address is one to follow; else only its words. */
function linked(address, words) {
  const href = safe(address);
  return href ? [make('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, ...words)] : words;
}

/** The whole address if it is http, https or relative to one of these; else null. */
export function safe(address) {
  try {
    const url = new URL(address, document.baseURI);
    return address && /^https?:$/.test(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
