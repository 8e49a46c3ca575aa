// The reader's page: ask, read the answer as it is written, follow its sources.

import * as account from './account.js';
import * as address from './address.js';
import * as composer from './composer.js';
import * as conversation from './conversation.js';
import { $, announce, hear, on, tell } from './dom.js';
import * as history from './history.js';
import * as host from './host.js';
import { memory, recall, remember } from './memory.js';
import * as turns from './turns.js';

/** Opens what the address names. */
function visit() {
  const id = address.named();
  if (id && !memory.reader?.token) tell('sign', 'Sign in to open this conversation.');
  else if (id) conversation.open(id);
  else if (memory.conversation.id) conversation.begin();
}

function begin() {
  conversation.begin();
  if ($('drawer').open) $('drawer').close();
  announce('New conversation.');
  $('question').focus();
}

recall();
composer.listen();
turns.listen();
account.listen();
history.listen();
host.listen();
for (const button of ['new', 'history-new']) on(button, 'click', begin);
addEventListener('hashchange', visit);
addEventListener('pagehide', remember);
hear('reader', () => {
  if (memory.reader?.token && address.named() !== (memory.conversation.id ?? null)) visit();
});

// A reload finds the tab's own conversation first; the address wins where it names another one.
if (address.named() === null && memory.conversation.id) address.show(memory.conversation.id, { instead: true });
tell('turns');
if (memory.conversation.turns.length) scrollTo(0, 1e9);
if (address.named()) visit();
else conversation.goOnIfRunning();
if (!host.host && matchMedia('(hover: hover)').matches) $('question').focus({ preventScroll: true }); // else a keyboard pops up, or the book loses the focus
