// The open conversation in the address: `#c=<id>`, so that a link leads to it, and back leads back.

import { host } from './host.js';

/** The conversation that the address names. */
export const named = () => /^#c=([0-9a-f-]{36})$/.exec(location.hash)?.[1] ?? null;

/** The address of a conversation, for a link. */
export const of = (id) => `#c=${id}`;

/**
 * Names the open conversation, or none; `instead` of the address that is there, else as a step forward.
 * Beside a book the steps are the book's, and none of them ours.
 */
export function show(id, { instead = false } = {}) {
  if (named() === id) return;
  const url = id ? of(id) : location.pathname + location.search;
  if (instead || host) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
}
