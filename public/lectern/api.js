// Speaks to the server, and puts what goes wrong into words.

import { tell } from './dom.js';
import { memory } from './memory.js';

/** What a failed request has to tell the reader. */
export class Failure extends Error {
  constructor(text, facts) {
    super(text);
    Object.assign(this, { retry: true }, facts); // and perhaps `status`, `code` and `reference`
  }
}

export const EXPIRED = 'Your sign-in has run out. Sign in again; your question is kept.';

/**
 * Calls the API with the reader's token, or with none; all but 2xx becomes a `Failure` with the server's
 * own words. The address is relative, so the page works below any path.
 */
export async function call(method, path, { body, headers = {}, token = memory.reader?.token, ...more } = {}) {
  if (body) headers['Content-Type'] = 'application/json';
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(`api/v1/${path}`, { method, headers, body: body && JSON.stringify(body), ...more });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Failure('The server cannot be reached. Are you online?');
  }
  if (response.ok) return response;
  const { status } = response;
  if (status === 401 && token && token === memory.reader?.token) {
    memory.reader.token = undefined;
    tell('reader');
  }
  const problem = await response.json().catch(() => ({})); // a proxy in between may answer in HTML
  throw new Failure(problem.detail || problem.title || `The server answered with an error (${status}).`, {
    status,
    retry: status >= 500 || status === 408 || status === 429, // else what was sent is at fault
    reference: problem.request_id,
  });
}
