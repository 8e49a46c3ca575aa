// The page beside a book: what it hears from `embed.js` on the book's page, and what it says to it.
//
// The frame's address names the origin of the book's page. Only the parent window at that origin is
// listened to, and nobody else hears what is said. Who may hold the page in a frame at all is the
// server's `frame-ancestors`.

import { $, make, tell } from './dom.js';

/** The origin of the book's page; null for a page that stands alone. */
export const host = parent === window ? null : originOf(new URLSearchParams(location.search).get('host'));

const SELECTION = 8000; // characters, the server's limit

function originOf(address) {
  try {
    return new URL(address).origin;
  } catch {
    return null;
  }
}

function say(type) {
  parent.postMessage({ type: `lectern:${type}` }, host);
}

export function listen() {
  if (!host) return;
  document.documentElement.classList.add('embedded');
  $('close').hidden = false;
  $('close').addEventListener('click', () => say('close'));
  document.addEventListener('keydown', (event) => {
    // What is open in the page, and an answer that is being written, take Escape first.
    if (event.key === 'Escape' && !event.defaultPrevented && !document.querySelector('dialog[open]')) say('close');
  });
  addEventListener('message', ({ source, origin, data }) => {
    if (source !== parent || origin !== host) return;
    if (data?.type === 'lectern:theme') dress(data);
    if (data?.type === 'lectern:about') about(data);
    if (data?.type === 'lectern:focus') focus(data.at);
  });
  say('ready');
}

/** A text that the reader selected, and the page that it stands on. */
function about({ selection, page, path }) {
  const text = [...String(selection ?? '').trim()].slice(0, SELECTION).join('');
  if (text) tell('about', { selection: text, page: String(page || path || '').slice(0, 200) });
}

/** To the question, or to where Tab goes on when it has gone around: the `first` element or the `last`. */
function focus(at) {
  if (at === 'question') return $('question').focus();
  const all = [...document.querySelectorAll('a[href], button, textarea, input, [tabindex="0"]')];
  const there = all.filter((it) => it.checkVisibility() && !it.disabled);
  there.at(at === 'last' ? -1 : 0)?.focus();
}

/** Takes the colours and the font of the book, as far as they can be read. */
function dress({ paper, ink, mark, font, lang }) {
  const root = document.documentElement;
  const isColour = (it) => typeof it === 'string' && CSS.supports('color', it) && pixel(it)[3] === 255;
  if (typeof lang === 'string') $('question').lang = lang;
  if (typeof font === 'string' && CSS.supports('font-family', font)) {
    root.style.setProperty('--serif', font);
    root.style.setProperty('--sans', font);
  }
  if (!isColour(paper)) return;
  const isDark = luminance(paper) < 0.18;
  const plain = isDark ? '#fff' : '#000';
  const legible = (colour) => isColour(colour) && contrast(colour, paper) >= 4.5;
  root.classList.add('themed');
  root.style.colorScheme = isDark ? 'dark' : 'light';
  root.style.setProperty('--paper', paper);
  root.style.setProperty('--ink', legible(ink) ? ink : plain);
  const accent = legible(mark) ? mark : plain;
  root.style.setProperty('--mark', accent);
  root.style.setProperty('--on-mark', luminance(accent) > 0.18 ? '#000' : '#fff');
}

/** Red, green, blue and opacity of any colour that CSS knows, 0 to 255. */
function pixel(colour) {
  const canvas = make('canvas', { width: 1, height: 1 });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}

/** The relative luminance after WCAG 2. */
function luminance(colour) {
  const [r, g, b] = [...pixel(colour)].map((it) => it / 255).map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}
