// Puts the chat beside a book: <script src="https://your-lectern/embed.js" defer></script>
// It draws one button, and loads nothing before its first click. docs/embed.md has the attributes.
(async (tag) => {
  // In the head without `defer` there is no body yet.
  if (document.readyState === 'loading') await new Promise((done) => addEventListener('DOMContentLoaded', done));
  const home = new URL('.', tag.src);
  const html = document.documentElement;
  const narrow = matchMedia('(max-width: 40rem)');
  const night = matchMedia('(prefers-color-scheme: dark)');
  const { label = 'Ask the book', ask = 'Ask about this', position, lang = html.lang } = tag.dataset;
  const side = position === 'left' ? 'left' : 'right';
  if (document.querySelector('lectern-chat')) return;

  const make = (name, facts) => Object.assign(document.createElement(name), facts);

  // A shadow tree keeps the book's styles out, `!important` those for every element; a sheet made by script
  // is no matter of its content policy.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { all: initial !important; display: contents !important }
    [hidden] { display: none !important }
    button, dialog { position: fixed; z-index: 2147483000; box-sizing: border-box; color: var(--ink); background: var(--paper); font: 600 15px/1.2 var(--font); border: 1px solid color-mix(in srgb, var(--ink) 22%, transparent); box-shadow: 0 4px 20px rgb(0 0 0 / .18) }
    button { padding: 12px 18px; border-radius: 24px; color: var(--mark); cursor: pointer }
    button:hover { border-color: var(--mark) }
    :focus-visible { outline: 2px solid var(--mark); outline-offset: 2px }
    .open { bottom: max(16px, env(safe-area-inset-bottom)); ${side}: 16px }
    .tip { padding: 8px 12px; border-radius: 10px; font-size: 14px }
    dialog { margin: 0; padding: 0; inset: auto; ${side}: 16px; bottom: 16px; width: min(26rem, 100vw - 32px); height: min(44rem, 100dvh - 32px); border-radius: 16px; overflow: hidden }
    dialog::backdrop { background: none }
    iframe { position: absolute; inset: 0; width: 100%; height: 100%; border: 0 }
    iframe:not(.ready) { visibility: hidden }
    .shut { position: absolute; inset: 12px 12px auto auto; padding: 8px 14px; box-shadow: none }
    a { position: absolute; inset: 40% 24px auto; color: var(--mark); text-align: center }
    @media (max-width: 40rem) { dialog { inset: 0; width: 100%; height: 100%; max-width: none; max-height: none; border: 0; border-radius: 0 } }
    @media print { :host { display: none !important } }`);

  let frame;
  let isReady = false;
  let about; // what the chat does not know yet
  let text = ''; // what the small button is for

  const edge = (at) => make('span', { tabIndex: 0, onfocus: () => isReady && enter(at) });
  const button = make('button', { type: 'button', className: 'open', ariaHasPopup: 'dialog', ariaExpanded: false, textContent: label, onclick: () => open(selected()) });
  const tip = make('button', { type: 'button', className: 'tip', hidden: true, textContent: ask, onclick: () => open(text) });
  const dialog = make('dialog', { ariaLabel: label, onclose: closed });
  // Behind the frame, for when the browser may not show it.
  const shut = make('button', { type: 'button', className: 'shut', textContent: '✕', ariaLabel: 'Close', onclick: () => close() });
  const away = make('a', { href: home.href, target: '_blank', rel: 'noopener', textContent: `${label} ↗` });
  for (const it of [button, tip]) it.onpointerdown = (event) => event.preventDefault(); // keeps the selection
  const chat = make('lectern-chat', { lang });
  const shadow = chat.attachShadow({ mode: 'open' });
  shadow.adoptedStyleSheets = [sheet];
  shadow.append(button, tip, dialog);
  html.append(chat); // some books replace their body

  // The next page opens no frame that never came.
  const remember = () => {
    try {
      sessionStorage.setItem('lectern-open', isReady && dialog.open ? '1' : '');
    } catch { /* Forbidden: the next page begins closed. */ }
  };

  function open(selection, isQuiet) {
    if (!frame) {
      frame = make('iframe', { src: new URL(`?host=${location.origin}`, home), title: label, allow: 'clipboard-write' });
      dialog.append(edge('last'), shut, away, frame, edge('first'));
    }
    if (selection) about = { selection, page: document.title, path: location.pathname };
    // Beside a page it is not modal; `show` would take the focus unasked.
    if (!dialog.open && narrow.matches) dialog.showModal();
    dialog.open = true;
    button.hidden = tip.hidden = true;
    text = '';
    button.ariaExpanded = true;
    remember();
    if (isReady) tell(isQuiet);
    else if (!isQuiet) shut.focus();
  }

  function tell(isQuiet) {
    if (about) say('about', about);
    about = undefined;
    if (!isQuiet) enter('question');
  }

  function enter(at) {
    frame.focus();
    say('focus', { at });
  }

  // At once: the page may be left before the event comes.
  function close() {
    dialog.close();
    remember();
  }

  function closed() {
    button.hidden = false;
    button.ariaExpanded = false;
    button.focus({ preventScroll: true });
    remember();
  }

  // Only our own frame is listened to and spoken to.
  const say = (type, more) => frame.contentWindow.postMessage({ type: `lectern:${type}`, ...more }, home.origin);

  addEventListener('message', ({ source, origin, data }) => {
    if (!frame || source !== frame.contentWindow || origin !== home.origin) return;
    if (data?.type === 'lectern:close') close();
    if (data?.type !== 'lectern:ready') return;
    const isQuiet = !dialog.contains(shadow.activeElement);
    isReady = shut.hidden = away.hidden = true;
    frame.className = 'ready';
    remember();
    dress();
    tell(isQuiet);
  });
  addEventListener('keydown', (event) => event.key === 'Escape' && !event.defaultPrevented && close());
  addEventListener('hashchange', () => narrow.matches && close()); // a source on this page

  // ---- The book's colours and font ----

  function dress() {
    const [root, body] = [getComputedStyle(html), getComputedStyle(document.body)];
    const link = document.querySelector('main a[href], a[href]');
    const option = (name, seen) => tag.dataset[name] || root.getPropertyValue(`--lectern-${name}`).trim() || seen;
    const isDark = /dark/.test(root.colorScheme) && (!/light/.test(root.colorScheme) || night.matches);
    const [paper, light] = paint(isDark ? '#121212' : '#fff', root.backgroundColor, body.backgroundColor, option('background', '#0000'));
    const legible = (colour, other) => {
      const ratio = (light + 0.05) / (paint(paper, colour)[1] + 0.05);
      return Math.max(ratio, 1 / ratio) < 4.4 ? other : colour;
    };
    const ink = legible(option('text', body.color), light < 0.18 ? '#fff' : '#000');
    const mark = legible(option('accent', link ? getComputedStyle(link).color : ink), ink);
    const theme = { paper, ink, mark, lang, font: option('font', body.fontFamily) };
    for (const name in theme) chat.style.setProperty(`--${name}`, theme[name]);
    if (isReady) say('theme', theme);
  }

  const brush = make('canvas', { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  // Colours over each other: what is seen, and about how light it is.
  function paint(...layers) {
    for (brush.fillStyle of layers) brush.fillRect(0, 0, 1, 1);
    const { data } = brush.getImageData(0, 0, 1, 1);
    const [r, g, b] = Array.from(data, (it) => (it / 255) ** 2.2);
    return [`rgb(${data.slice(0, 3)})`, 0.21 * r + 0.72 * g + 0.07 * b];
  }

  const watch = new MutationObserver(change);
  function change() {
    for (const it of [html, document.body]) watch.observe(it, { attributeFilter: ['class', 'style', 'data-theme'], childList: it === html });
    dress();
    setTimeout(dress, 400); // after a fading
  }
  night.addEventListener('change', change);
  change();

  // ---- The small button at a selection ----

  const selected = () => (/^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName) ? '' : getSelection().toString().trim());

  function place() {
    text = selected();
    const lines = text.length > 2 ? [...getSelection().getRangeAt(0).getClientRects()] : [];
    const end = lines.at(-1);
    tip.hidden = !end || end.bottom < 0 || lines[0].top > innerHeight; // or scrolled away
    if (tip.hidden) return;
    const within = (it, room) => `${Math.max(8, Math.min(it, room - 8))}px`;
    tip.style.left = within(end.right - 40, innerWidth - tip.offsetWidth);
    tip.style.top = within(end.bottom + 8, innerHeight - tip.offsetHeight);
  }
  let soon;
  document.addEventListener('selectionchange', () => {
    clearTimeout(soon);
    soon = setTimeout(place, 200);
  });
  addEventListener('scroll', () => text && place(), { passive: true });

  // Who read with the chat beside the page turns to the next page with it.
  try {
    if (sessionStorage.getItem('lectern-open') && !narrow.matches) open('', true);
  } catch { /* Forbidden: it begins closed. */ }
})(document.currentScript);
