// The few words with which every part of the page speaks of its elements, and to the other parts.

export const $ = (id) => document.getElementById(id);

export const on = (id, type, run) => $(id).addEventListener(type, run);

/** Makes an element: `make('a', { href }, 'text', node)`. Texts become text nodes, never markup. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A button that sends no form. */
export function makeButton(look, label, run) {
  const element = make('button', { type: 'button', class: look }, label);
  element.addEventListener('click', run);
  return element;
}

/** Makes `children` the children of `parent`, in this order; those that stay keep the focus. */
export function arrange(parent, children) {
  for (const old of [...parent.children]) if (!children.includes(old)) old.remove();
  children.forEach((it, at) => parent.children[at] === it || parent.insertBefore(it, parent.children[at] ?? null));
}

/** An icon of 24 by 24, drawn by its strokes. */
export function makeIcon(strokes) {
  const space = 'http://www.w3.org/2000/svg';
  const icon = document.createElementNS(space, 'svg');
  icon.setAttribute('viewBox', '0 0 24 24');
  icon.setAttribute('aria-hidden', 'true');
  icon.append(document.createElementNS(space, 'path'));
  icon.firstChild.setAttribute('d', strokes);
  return icon;
}

/** Screen readers say it once, when they are not busy. */
export function announce(text) {
  $('live').textContent = text;
}

// The parts know each other by what happens, and not by name:
//
//   turns    the open conversation, or what is going on in it, changed
//   turn     one turn of it changed while it is being written
//   reader   somebody signed in or out, or their token ran out
//   sign     somebody must sign in; the detail says why
//   kept     the history on the server changed
//   about    a text was selected that the next question is about
//   back     a question that could not be asked goes back to its box

export const tell = (what, detail) => document.dispatchEvent(new CustomEvent(`lectern:${what}`, { detail }));

export const hear = (what, run) => document.addEventListener(`lectern:${what}`, (event) => run(event.detail));
