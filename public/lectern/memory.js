// What this tab remembers: the reader, and the open conversation.
//
// Both live together in sessionStorage: they survive a reload, two tabs never mix theirs, and on a
// shared computer both are gone with the tab. "Stay signed in on this device" keeps the reader, and no
// conversation, in localStorage too: a new tab begins a new one. Neither is safe from a script in this page; against that stand the renderer and the
// content policy.

const KEY = 'lectern';
const KEPT = 40; // turns that a reload brings back

/**
 * `reader` is `{ email, user_id, token, keep }`, without a token once that has run out, and null for a
 * guest. A conversation is `{ id, owner, turns }`; both names are missing until the server gives them.
 * `draft` is what stands in the question box.
 */
export const memory = { reader: null, conversation: { turns: [] }, draft: '' };

export function remember() {
  const { reader, conversation: { id, owner, turns }, draft } = memory;
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ reader, conversation: { id, owner, turns: turns.slice(-KEPT) }, draft }));
    if (reader?.keep) localStorage.setItem(KEY, JSON.stringify({ reader }));
  } catch { /* Full or forbidden: the page works on, without a memory. */ }
}

export function recall() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    memory.reader = (kept ?? JSON.parse(localStorage.getItem(KEY)))?.reader ?? null;
    memory.draft = kept?.draft ?? '';
    if (Array.isArray(kept?.conversation?.turns)) memory.conversation = kept.conversation;
  } catch { /* Unreadable or forbidden: begin anew. */ }
}

export function forget() {
  try {
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
  } catch { /* There was nothing. */ }
}

/** Runs `leave` when another tab logged out a reader who stays signed in on this device. */
export function onForgotten(leave) {
  addEventListener('storage', ({ key, newValue }) => {
    if (key === KEY && newValue === null && memory.reader?.keep) leave();
  });
}
