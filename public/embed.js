// Puts the chat beside a book: <script src="https://your-lectern/embed.js" defer></script>
// It draws one button, and loads nothing before its first click. docs/embed.md has the attributes.
(() => {
  const tag = document.currentScript;
  const home = new URL('.', tag.src);
  const html = document.documentElement;
  const narrow = matchMedia('(max-width: 40rem)');
  const { label = 'Ask the book', ask = 'Ask about this', position = 'right', lang = html.lang } = tag.dataset;
  const side = position === 'left' ? 'left' : 'right';
  if (document.querySelector('lectern-chat')) return;

  const make = (name, facts, ...children) => {
    const element = Object.assign(document.createElement(name), facts);
    element.append(...children);
    return element;
  };

  // A shadow tree keeps the book's styles out; a sheet made by script is no matter of its content policy.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { all: initial }
    [hidden] { display: none !important }
    button, dialog { position: fixed; z-index: 2147483000; box-sizing: border-box; color: var(--text); background: var(--paper); font: 600 15px/1.2 var(--font); border: 1px solid color-mix(in srgb, var(--text) 22%, transparent); box-shadow: 0 4px 20px rgb(0 0 0 / .18) }
    button { padding: 12px 18px; border-radius: 24px; color: var(--accent); cursor: pointer }
    button:hover { border-color: var(--accent) }
    :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
    .open { bottom: max(16px, env(safe-area-inset-bottom)); ${side}: 16px }
    .tip { padding: 8px 12px; border-radius: 10px; font-size: 14px }
    dialog { margin: 0; padding: 0; inset: auto; ${side}: 16px; bottom: 16px; width: min(26rem, 100vw - 32px); height: min(44rem, 100dvh - 32px); border-radius: 16px; overflow: hidden }
    dialog::backdrop { background: none }
    iframe { position: absolute; inset: 0; width: 100%; height: 100%; border: 0; opacity: 0 }
    .ready { opacity: 1 }
    a { position: absolute; inset: 40% 24px auto; color: var(--accent); text-align: center }
    @media (max-width: 40rem) { dialog { inset: 0; width: 100%; height: 100%; max-width: none; max-height: none; border: 0; border-radius: 0 } }
    @media print { :host { display: none } }`);

  let frame;
  let isReady = false;
  let about; // what the chat has not been told yet
  let text = ''; // the selection that the small button is for

  const edge = (at) => make('span', { tabIndex: 0, onfocus: () => { frame.focus(); say('focus', { at }); } });
  const button = make('button', { type: 'button', className: 'open', ariaHasPopup: 'dialog', ariaExpanded: 'false', textContent: label, onclick: () => open(selected()) });
  const tip = make('button', { type: 'button', className: 'tip', hidden: true, textContent: ask, onclick: () => open(text) });
  const dialog = make('dialog', { ariaLabel: label, onclose: closed });
  for (const it of [button, tip]) it.onpointerdown = (event) => event.preventDefault(); // else the selection is gone
  const chat = make('lectern-chat', { lang });
  const shadow = chat.attachShadow({ mode: 'open' });
  shadow.adoptedStyleSheets = [sheet];
  shadow.append(button, tip, dialog);
  document.body.append(chat);

  const remember = (isOpen) => {
    try {
      sessionStorage.setItem('lectern-open', isOpen ? '1' : '');
    } catch { /* Forbidden: the next page begins closed. */ }
  };

  function open(selection, isQuiet) {
    if (!frame) {
      const src = new URL(`?host=${encodeURIComponent(location.origin)}`, home).href;
      frame = make('iframe', { src, title: label });
      const away = make('a', { href: home.href, target: '_blank', rel: 'noopener', textContent: `${label} ↗` });
      dialog.append(edge('last'), away, frame, edge('first'));
    }
    if (selection) about = { selection, page: document.title, path: location.pathname };
    // Beside a page that goes on being read it is not modal; `show` would take the focus unasked.
    if (!dialog.open && narrow.matches) dialog.showModal();
    dialog.open = true;
    button.hidden = tip.hidden = true;
    button.ariaExpanded = 'true';
    remember(true);
    if (!isQuiet) frame.focus();
    if (isReady) tell(isQuiet);
  }

  function tell(isQuiet) {
    if (about) say('about', about);
    about = undefined;
    if (!isQuiet) say('focus', { at: 'question' });
  }

  function closed() {
    button.hidden = false;
    button.ariaExpanded = 'false';
    button.focus({ preventScroll: true });
    remember(false);
  }

  // Only our own frame, at our own address, is listened to and spoken to.
  const say = (type, more) => frame.contentWindow.postMessage({ type: `lectern:${type}`, ...more }, home.origin);

  addEventListener('message', ({ source, origin, data }) => {
    if (!frame || source !== frame.contentWindow || origin !== home.origin) return;
    if (data?.type === 'lectern:close') dialog.close();
    if (data?.type !== 'lectern:ready') return;
    isReady = true;
    frame.className = 'ready';
    dress();
    tell(!dialog.contains(shadow.activeElement));
  });
  addEventListener('keydown', (event) => event.key === 'Escape' && !event.defaultPrevented && dialog.open && dialog.close());
  addEventListener('hashchange', () => narrow.matches && dialog.open && dialog.close()); // a source on this page

  // ---- The book's colours and font, now and when they change ----

  function dress() {
    const [root, body] = [getComputedStyle(html), getComputedStyle(document.body)];
    const link = document.querySelector('main a[href], a[href]');
    const option = (name, seen) => tag.dataset[name] || root.getPropertyValue(`--lectern-${name}`).trim() || seen;
    const isDark = /dark/.test(root.colorScheme) && (!/light/.test(root.colorScheme) || matchMedia('(prefers-color-scheme: dark)').matches);
    const painted = [body, root].map((it) => it.backgroundColor).find((it) => it !== 'rgba(0, 0, 0, 0)');
    const ink = option('text', body.color);
    const theme = {
      paper: option('background', painted ?? (isDark ? '#121212' : '#fff')), ink,
      mark: option('accent', link ? getComputedStyle(link).color : ink), font: option('font', body.fontFamily), lang,
    };
    for (const [name, value] of [['paper', theme.paper], ['text', ink], ['accent', theme.mark], ['font', theme.font]]) chat.style.setProperty(`--${name}`, value);
    if (isReady) say('theme', theme);
  }
  const change = () => [0, 400].forEach((ms) => setTimeout(dress, ms)); // again when a fading has ended
  const watch = new MutationObserver(change);
  for (const it of [html, document.body]) watch.observe(it, { attributes: true, attributeFilter: ['class', 'style', 'data-theme'] });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', change);
  dress();

  // ---- The small button at a selection ----

  const selected = () => (/^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName) ? '' : getSelection().toString().trim());

  function place() {
    text = selected();
    const lines = text.length > 2 ? [...getSelection().getRangeAt(0).getClientRects()] : [];
    tip.hidden = !lines.length;
    if (!lines.length) return;
    const { right, bottom } = lines.at(-1);
    const within = (it, room) => `${Math.max(8, Math.min(it, room))}px`;
    tip.style.left = within(right - 40, innerWidth - tip.offsetWidth - 8);
    tip.style.top = within(bottom + 8, innerHeight - tip.offsetHeight - 8);
  }
  let soon;
  document.addEventListener('selectionchange', () => {
    clearTimeout(soon);
    soon = setTimeout(place, 200);
  });
  addEventListener('scroll', () => tip.hidden || place(), { passive: true });

  // Who was reading with the chat beside the page turns to the next page with it.
  try {
    if (sessionStorage.getItem('lectern-open') && !narrow.matches) open('', true);
  } catch { /* Forbidden: it begins closed. */ }
})();
