// Signing in and out.

import { EXPIRED, call } from './api.js';
import { $, announce, hear, on, tell } from './dom.js';
import { forget, memory, onForgotten, remember } from './memory.js';

let isRegistering = false;

function open(why = '') {
  show(false);
  $('sign-why').textContent = why;
  $('email').value = memory.reader?.email ?? $('email').value;
  $('keep').checked = Boolean(memory.reader?.keep);
  if (!$('sign').open) $('sign').showModal();
  $($('email').value ? 'password' : 'email').focus();
}

function show(register) {
  isRegistering = register;
  $('sign-title').textContent = $('sign-go').textContent = register ? 'Create an account' : 'Sign in';
  $('sign-switch').textContent = register ? 'Already have an account? Sign in' : 'New here? Create an account';
  $('rule').hidden = !register;
  $('password').minLength = register ? 8 : 0;
  $('password').autocomplete = register ? 'new-password' : 'current-password';
  $('sign-error').textContent = '';
}

async function sign(event) {
  event.preventDefault();
  const body = { email: $('email').value.trim(), password: $('password').value };
  $('sign-error').textContent = '';
  $('sign-go').disabled = true;
  try {
    if (isRegistering) await call('POST', 'auth/register', { body, token: null });
    signedIn(await (await call('POST', 'auth/login', { body, token: null })).json());
  } catch (error) {
    if (error.status === 409) show(false); // they have an account
    $('sign-error').textContent = error.message;
    $('password').select();
  }
  $('sign-go').disabled = false;
}

function signedIn({ user_id, email, access_token }) {
  memory.reader = { user_id, email, token: access_token, keep: $('keep').checked };
  if (!memory.reader.keep) forget(); // a copy from before
  $('password').value = '';
  $('sign').close();
  tell('reader');
  remember();
  announce(`Signed in as ${email}.`);
  $('question').focus();
}

function logOut() {
  memory.reader = null;
  tell('reader');
  forget(); // last, so that nothing is written after it
  announce('Logged out.');
}

function draw() {
  const { reader } = memory;
  $('who').textContent = reader?.email ?? '';
  $('sign-in').hidden = Boolean(reader?.token);
  $('log-out').hidden = !reader;
  $('guest').hidden = Boolean(reader);
}

export function listen() {
  on('sign-in', 'click', () => open(memory.reader ? EXPIRED : ''));
  on('guest-sign', 'click', () => open('What you asked in this tab stays in front of you.'));
  on('log-out', 'click', logOut);
  on('sign-form', 'submit', sign);
  on('sign-close', 'click', () => $('sign').close());
  on('sign-switch', 'click', () => {
    show(!isRegistering);
    $('email').focus();
  });
  hear('sign', open);
  hear('reader', draw);
  onForgotten(logOut);
  draw();
}
