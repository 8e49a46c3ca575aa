// The reader's conversations on the server: a list at the side, in a drawer where there is no room for it.

import * as address from './address.js';
import { Failure, call } from './api.js';
import * as conversation from './conversation.js';
import { $, announce, arrange, hear, make, makeButton, makeIcon, on } from './dom.js';
import { host } from './host.js';
import { memory } from './memory.js';

const PAGE = 20;
const TYPING_MS = 250;
const DOTS = 'M5 12h.01M12 12h.01M19 12h.01';

/** What is on the screen, newest activity first. */
let list = [];
let hasMore = false;
/** The newest request; what an older one brings is out of date. */
let asked = 0;

/** Loads the list from its top, or with `more` what is behind its end. */
async function load(more) {
  if (!memory.reader?.token) return;
  const me = asked += 1;
  const params = new URLSearchParams({ limit: PAGE, q: $('search').value.trim() });
  const last = more && list.at(-1);
  if (last) {
    params.set('after', last.id);
    params.set('at', last.last_message_at);
  }
  try {
    const page = await (await call('GET', `conversations?${params}`)).json();
    if (me !== asked) return;
    list = last ? [...list, ...page.data] : page.data;
    hasMore = page.has_more;
    $('history-note').textContent = list.length ? '' : params.get('q') ? 'Nothing found.' : 'What you ask will be here.';
  } catch (error) {
    if (me !== asked) return;
    $('history-note').textContent = error.message;
  }
  draw();
}

/** A row keeps its element, so that drawing the list again takes no focus out of it. */
const rows = new Map();

function draw() {
  for (const id of rows.keys()) if (!list.some((it) => it.id === id)) rows.delete(id);
  arrange($('conversations'), list.map((it) => {
    if (!rows.has(it.id)) rows.set(it.id, makeRow(it));
    return rows.get(it.id).update(it);
  }));
  $('more').hidden = !hasMore;
}

function makeRow({ id }) {
  let it;
  const link = make('a', { class: 'open', href: address.of(id), dir: 'auto' });
  const when = make('time');
  const more = makeButton('quiet icon', makeIcon(DOTS), () => act(actions.hidden));
  const actions = make('div', { class: 'row-actions' },
    makeButton('quiet', 'Rename', () => row.replaceChildren(renaming(it, back))),
    makeButton('quiet', 'Export', () => {
      act(false);
      save(it).catch(show);
    }),
    makeButton('quiet', 'Delete', () => row.replaceChildren(deleting(it, back))));
  const row = make('li');

  function act(open) {
    actions.hidden = !open;
    more.ariaExpanded = String(open);
  }
  function back() {
    act(false);
    row.replaceChildren(link, more, actions);
    more.focus();
  }
  function update(newest) {
    it = newest;
    link.replaceChildren(name(it), when);
    when.dateTime = it.last_message_at;
    when.textContent = ago(it.last_message_at);
    more.ariaLabel = `What to do with “${name(it)}”`;
    link.ariaCurrent = memory.conversation.id === id ? 'page' : null;
    return row;
  }
  row.append(link, more, actions);
  act(false);
  return { update };
}

const name = (it) => it.title || 'Untitled';

/** In place of the row: its title, to be changed. */
function renaming(it, back) {
  const title = make('input', { type: 'text', maxlength: 200, 'aria-label': 'Title' });
  title.value = it.title;
  const form = make('form', { class: 'renaming' }, title, make('button', { class: 'quiet' }, 'Save'));
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    event.preventDefault();
    back();
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!title.value.trim()) return;
    try {
      Object.assign(it, await (await call('PATCH', `conversations/${it.id}`, { body: { title: title.value } })).json());
      announce('Renamed.');
    } catch (error) {
      show(error);
    }
    back();
    draw();
  });
  queueMicrotask(() => title.select());
  return form;
}

/** In place of the row: is this meant? */
function deleting(it, back) {
  const keep = makeButton('quiet', 'Keep', back);
  const ask = make('div', { class: 'deleting', role: 'group', 'aria-label': `Delete “${name(it)}”?` },
    make('span', {}, 'Delete for good?'), makeButton('quiet danger', 'Delete', remove), keep);
  ask.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    event.preventDefault();
    back();
  });
  async function remove() {
    try {
      await call('DELETE', `conversations/${it.id}`);
    } catch (error) {
      if (error.status !== 404) {
        back();
        return show(error);
      }
    }
    list = list.filter((other) => other.id !== it.id);
    draw();
    $('search').focus();
    announce('Deleted.');
    if (memory.conversation.id === it.id) conversation.begin();
    load();
  }
  queueMicrotask(() => keep.focus());
  return ask;
}

/** Downloads a conversation as Markdown. */
async function save(it) {
  const response = await call('GET', `conversations/${it.id}/export?format=md`);
  const file = /filename="([^"]+)"/.exec(response.headers.get('content-disposition'))?.[1] ?? 'conversation.md';
  const url = URL.createObjectURL(await response.blob());
  make('a', { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // some browsers read it after the click
}

function show(error) {
  $('history-note').textContent = error instanceof Failure ? error.message : 'That did not work.';
}

const TIMES = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
/** "5 minutes ago", "yesterday"; from a week on the day. */
function ago(then) {
  const minutes = (new Date(then) - Date.now()) / 60_000;
  if (minutes > -60) return TIMES.format(Math.round(minutes), 'minute');
  if (minutes > -24 * 60) return TIMES.format(Math.round(minutes / 60), 'hour');
  if (minutes > -7 * 24 * 60) return TIMES.format(Math.round(minutes / 60 / 24), 'day');
  return new Date(then).toLocaleDateString('en', { day: 'numeric', month: 'long', year: 'numeric' });
}

// ---- Where it is ----

const roomy = matchMedia('(min-width: 68rem)');

function place() {
  const isKnown = Boolean(memory.reader);
  const isAside = isKnown && roomy.matches && !host;
  $('side').hidden = !isAside;
  $('menu').hidden = !isKnown || isAside;
  document.body.classList.toggle('with-side', isAside);
  if (isAside && $('drawer').open) $('drawer').close();
  $(isAside ? 'side' : 'drawer').append($('history'));
}

export function listen() {
  let typing;
  on('search', 'input', () => {
    clearTimeout(typing);
    typing = setTimeout(load, TYPING_MS);
  });
  on('more', 'click', () => load(true));
  on('menu', 'click', () => {
    $('drawer').showModal();
    load();
  });
  on('drawer', 'click', (event) => {
    // Beside the drawer is the dialog's own backdrop.
    if (event.target === $('drawer') || event.target.closest('a.open')) $('drawer').close();
  });
  on('drawer-close', 'click', () => $('drawer').close());
  roomy.addEventListener('change', place);
  hear('kept', () => load());
  // Another tab may have asked meanwhile.
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && load());
  hear('turns', draw);
  hear('reader', () => {
    list = [];
    asked += 1;
    $('search').value = '';
    $('history-note').textContent = memory.reader ? 'Sign in again to see your conversations.' : '';
    place();
    draw();
    load();
  });
  place();
  load();
}
