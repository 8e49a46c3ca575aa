// Copying an answer or its code. Beside a book the browser asks that the frame be allowed to.

import { announce, make, makeIcon } from './dom.js';

const SHEETS = 'M9 9h10v11H9zM5 15V4h10';
const SHOWN_MS = 2000;

/** The button; none where the browser keeps the clipboard closed (plain http). */
export function copyButton(label) {
  if (!navigator.clipboard) return [];
  return [make('button', { type: 'button', class: 'quiet icon copy', 'aria-label': label, title: label }, makeIcon(SHEETS))];
}

/** Copies a text; the button shows that it is done. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.classList.add('copied');
    setTimeout(() => button.classList.remove('copied'), SHOWN_MS);
    announce('Copied.');
  } catch {
    announce('The browser does not allow copying here.');
  }
}

/** An answer for another document: its marks go on meaning something, because its sources come along. */
export function asText({ answer, sources }) {
  const list = (sources ?? []).map(({ n, title, path, url }) => `[${n}] ${[title || path, url].filter(Boolean).join(' ')}`);
  return [answer.trim(), list.join('\n')].filter(Boolean).join('\n\n');
}
