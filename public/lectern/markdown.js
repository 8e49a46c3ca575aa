// Markdown, the part of it that answers use, straight into elements: no text can become markup.
//
// Repetitions are bounded, so that no text makes a pattern run away. Images are only their words, because
// loading an address can carry words out.

import { make } from './dom.js';

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}|$)(.*)$/;
export const DIVIDER = /^ {0,3}\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?$/;
const starts = (line) => [FENCE, HEADING, RULE, QUOTE, ITEM].some((it) => it.test(line));
const blank = (line) => !line.trim();

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
      out.append(make('pre', { tabindex: '0' }, make('code', {}, code.join('\n'))));
    } else if ((match = HEADING.exec(line))) {
      i += 1;
      out.append(make(`h${Math.min(6, match[1].length + 2)}`, {}, ...inline(match[2], cite))); // below the question's h2
    } else if (RULE.test(line)) {
      i += 1;
      out.append(make('hr'));
    } else if (depth < 8 && QUOTE.test(line)) {
      const inner = takeWhile((it) => QUOTE.test(it) || !(blank(it) || starts(it)));
      out.append(make('blockquote', {}, blocks(inner.map((it) => it.replace(QUOTE, '')), cite, depth + 1)));
    } else if (depth < 8 && ITEM.test(line)) {
      const list = takeList(lines, i, cite, depth);
      i = list.end;
      out.append(list.element);
    } else if (line.includes('|') && DIVIDER.test(lines[i + 1] ?? '')) {
      const [head, , ...rows] = takeWhile((it) => it.includes('|'));
      const row = (it, cell) => make('tr', {}, ...it.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map((text) => make(cell, {}, ...inline(text.trim(), cite))));
      const table = make('table', {}, make('thead', {}, row(head, 'th')), make('tbody', {}, ...rows.map((it) => row(it, 'td'))));
      out.append(make('div', { class: 'table', tabindex: '0' }, table));
    } else {
      i += 1;
      const text = [line, ...takeWhile((it) => !blank(it) && !starts(it))].map((it) => it.trimStart()).join('\n');
      out.append(make('p', {}, ...inline(text.trimEnd(), cite)));
    }
  }
  return out;
}

/** The list that begins at line `i`, and the line where it ends. */
function takeList(lines, i, cite, depth) {
  const [, , marker] = ITEM.exec(lines[i]);
  const kind = marker.slice(-1); // "-", "*", "+", "." or ")": another one begins another list
  const list = /\d/.test(marker) ? make('ol', { start: parseInt(marker, 10) }) : make('ul');
  const isItem = (it) => !RULE.test(it) && ITEM.exec(it)?.[2].slice(-1) === kind;
  const afterBlanks = (from) => {
    while (from < lines.length && blank(lines[from])) from += 1;
    return from;
  };
  while (i < lines.length && isItem(lines[i])) {
    const [, indent, mark, gap, text] = ITEM.exec(lines[i]);
    const offset = indent.length + mark.length + (gap.length || 1);
    const inside = (it) => it !== undefined && it.search(/\S/) >= offset;
    const inner = [text];
    for (i += 1; i < lines.length; i += 1) {
      if (blank(lines[i])) {
        if (!inside(lines[afterBlanks(i)])) break;
        inner.push('');
      } else if (inside(lines[i])) inner.push(lines[i].slice(offset));
      else if (starts(lines[i])) break;
      else inner.push(lines[i].trimStart());
    }
    list.append(make('li', {}, blocks(inner, cite, depth + 1)));
    const next = afterBlanks(i);
    if (next < lines.length && isItem(lines[next])) i = next;
  }
  return { element: list, end: i };
}

const INLINE = new RegExp([
  / *(?<br> {2}|\\)\n/,
  /\\(?<escaped>[!-/:-@[-`{-~])/,
  /(?<!`)(?<ticks>`{1,9})(?!`)(?<code>[^]{1,2000}?)(?<!`)\k<ticks>(?!`)/,
  /(?<image>!?)\[(?<label>(?:\\.|[^[\]\\]|\[[^[\]]{0,200}\]){0,500})\]\(\s{0,3}<?(?<href>(?:[^\s<>()]|\([^\s<>()]{0,200}\)){0,1000})>?(?:\s{1,3}(?:"[^"]{0,300}"|'[^']{0,300}'))?\s{0,3}\)/,
  /<?\b(?<bare>https?:\/\/[^\s<>`"\]]{0,1000}[^\s<>`"\].,;:!?'*_)])>?/,
  /\[(?<cite>\d{1,3})\]/,
  /\*\*(?=\S)(?<strong>[^]{1,2000}?)(?<=\S)\*\*(?!\*)/,
  /(?<!\w)__(?=\S)(?<strong2>[^]{1,2000}?)(?<=\S)__(?!\w)/,
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
    else if (it.escaped) nodes.push(it.escaped);
    else if (it.code) nodes.push(make('code', {}, it.code.replace(/\n/g, ' ').replace(/^ (.*\S.*) $/, '$1')));
    else if (it.label !== undefined) nodes.push(...linked(it.image ? '' : it.href, inline(it.label, null, depth + 1)));
    else if (it.bare) nodes.push(...linked(it.bare, [it.bare]));
    else if (it.cite && cite) nodes.push(...stuck(nodes.pop()), cite(it.cite));
    else if (it.cite) nodes.push(match[0]);
    else if (it.strong ?? it.strong2) nodes.push(make('strong', {}, ...inner(it.strong ?? it.strong2)));
    else nodes.push(make('em', {}, ...inner(it.em ?? it.em2)));
  }
  if (from < text.length) nodes.push(text.slice(from));
  return nodes;
}

/** What stands before a mark, so that no line begins with the mark alone. */
function stuck(before) {
  if (before === undefined) return [];
  return [typeof before === 'string' ? before.replace(/ $/, '\u00a0') : before];
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
