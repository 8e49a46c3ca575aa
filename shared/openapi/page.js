
'use strict';
// Writes the page from the document that came with it. Nothing else is loaded, and every text
// goes in as text.

const api = JSON.parse(document.getElementById('document').textContent);
const root = location.pathname.replace(/\/docs\/*$/, '');
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

function make(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) node.setAttribute(key, value);
  node.append(...children.flat(Infinity).filter((child) => child));
  return node;
}

// The little Markdown that descriptions hold: code between backticks.
const prose = (text) => (text ?? '').split('`').map((part, at) => (at % 2 ? make('code', {}, part) : part));

const target = (ref) => ref.slice(2).split('/').reduce((node, key) => node[key.replace(/~1/g, '/')], api);
const found = (it) => (it?.$ref ? target(it.$ref) : it);
const nameOf = (it) => it?.$ref?.split('/').pop();
const forms = (it) => it.oneOf ?? it.anyOf;

// What is inside is written when somebody looks.
function fold(attributes, summary, write) {
  const node = make('details', attributes, make('summary', {}, summary));
  node.addEventListener('toggle', () => {
    if (node.open && node.childElementCount === 1) node.append(make('div', { class: 'inside' }, write()));
  });
  return node;
}

const plural = (n, word) => `${n.toLocaleString('en')} ${word}${n === 1 ? '' : 's'}`;

function range(least, most, word) {
  if (least == null && most == null) return null;
  if (most == null) return least > 0 ? `at least ${plural(least, word)}` : null;
  if (least == null || least === most) return `${least == null ? 'at most ' : ''}${plural(most, word)}`;
  return `${least.toLocaleString('en')} to ${plural(most, word)}`;
}

// One line: what a value may be.
function kind(schema) {
  if (schema.$ref) {
    const inner = target(schema.$ref);
    return inner.properties || forms(inner) ? nameOf(schema) : kind(inner);
  }
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.contentSchema) return `JSON: ${kind(schema.contentSchema)}`;
  if (forms(schema)) return forms(schema).map((it) => kind(it)).join(' | ');
  const types = [schema.type ?? 'anything'].flat().map((type) => {
    if (type === 'array') return `list of ${kind(schema.items ?? {})}`;
    return type === 'string' && schema.format ? schema.format : type;
  });
  const numbers = schema.type === 'integer' && (schema.minimum > 0 || schema.maximum != null);
  return [
    types.join(' | '),
    range(schema.minLength, schema.maxLength, 'character'),
    range(schema.minItems, schema.maxItems, 'element'),
    numbers && (schema.maximum == null ? `from ${schema.minimum}` : `${schema.minimum} to ${schema.maximum}`),
    'default' in schema && `default ${JSON.stringify(schema.default)}`,
  ].filter(Boolean).join(', ');
}

const term = (name, schema, required) => make('dt', {},
  make('span', { class: 'name' }, name), ' ',
  make('span', { class: 'kind' }, kind(schema)),
  required ? make('span', { class: 'must' }, ' required') : null);

// The members of an object, the forms of a choice, the elements of a list; `null` for a plain value.
function inside(schema) {
  const it = found(schema);
  if (it.properties) {
    return make('dl', { class: 'members' }, Object.entries(it.properties).flatMap(([name, member]) => [
      term(name, member, it.required?.includes(name)),
      make('dd', {}, prose(member.description ?? found(member).description), unfolded(member)),
    ]));
  }
  if (forms(it)) return forms(it).map((form) => {
    const words = make('span', { class: 'kind' }, found(form).properties?.type?.const ?? kind(form));
    return inside(form) ? fold({}, words, () => inside(form)) : make('div', {}, words);
  });
  const part = it.items ?? it.contentSchema;
  return part ? inside(part) : null;
}

function unfolded(schema) {
  const inner = inside(schema);
  return inner && fold({}, make('span', { class: 'faint' }, 'its members'), () => inside(schema));
}

function schemaOf(schema) {
  return [
    make('p', {}, make('span', { class: 'kind faint' }, kind(schema)), ' ', prose(found(schema).description)),
    inside(schema),
  ];
}

const sample = (value) => make('pre', { tabindex: 0 }, typeof value === 'string' ? value.trimEnd() : JSON.stringify(value, null, 2));
const heading = (text) => make('h4', {}, text);

function parameters(list) {
  return list?.length && [heading('Parameters'), make('dl', {}, list.map(found).flatMap((it) => [
    term(`${it.name} (${it.in})`, it.schema, it.required),
    make('dd', {}, prose(it.description)),
  ]))];
}

function media(content) {
  return Object.entries(content ?? {}).flatMap(([type, it]) => [
    make('p', { class: 'faint' }, type),
    schemaOf(it.schema),
    [it.example, ...Object.values(it.examples ?? {}).map((one) => one.value)].filter((one) => one !== undefined)
      .map(sample),
  ]);
}

function answers(responses) {
  return [heading('Answers'), Object.entries(responses).map(([status, response]) => {
    const it = found(response);
    const words = [make('span', { class: 'status' }, status), prose(it.description)];
    return fold({ class: 'answer' }, words, () => [
      make('dl', {}, Object.entries(it.headers ?? {}).flatMap(([name, header]) => [
        term(name, found(header).schema, false),
        make('dd', {}, prose(found(header).description)),
      ])),
      media(it.content),
    ]);
  })];
}

function who(security) {
  if (!security?.length) return 'Nobody need sign in.';
  const ways = security.flatMap(Object.keys).map((name) => ({ bearer: 'a token', internalKey: 'the internal key' })[name] ?? name);
  const guest = security.some((way) => !Object.keys(way).length) ? ', or a guest where guests may ask' : '';
  return `With ${ways.join(' or ')}${guest}.`;
}

function curl(method, path, operation) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = [`curl ${location.origin}${root}${path}`];
  if (method !== 'get' && method !== 'post') parts.push(`-X ${method.toUpperCase()}`);
  if (operation.security?.some((way) => way.bearer)) parts.push('-H "authorization: Bearer $TOKEN"');
  const json = operation.requestBody?.content['application/json'];
  const body = json?.example ?? Object.values(json?.examples ?? {})[0]?.value;
  if (body) parts.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  else if (method === 'post') parts.push('-X POST');
  return parts.join(' \\\n  ');
}

function operation({ method, path, it }) {
  return make('article', { id: it.operationId, class: it.deprecated ? 'old' : '' },
    make('h3', {}, it.summary),
    make('div', { class: 'route' },
      make('span', { class: `method ${method}` }, method.toUpperCase()),
      make('a', { class: 'path', href: `#${it.operationId}` }, path)),
    it.description ? make('p', {}, prose(it.description)) : null,
    make('p', { class: 'faint' }, who(it.security)),
    parameters(it.parameters) || null,
    it.requestBody && [heading(it.requestBody.required ? 'Body' : 'Body (may be left out)'), media(it.requestBody.content)],
    answers(it.responses),
    fold({ class: 'answer' }, 'With curl', () => sample(curl(method, path, it))));
}

const operations = Object.entries(api.paths).flatMap(([path, item]) =>
  METHODS.filter((method) => item[method]).map((method) => ({ method, path, it: item[method] })));
const groups = api.tags.map((tag) => ({ ...tag, operations: operations.filter((one) => one.it.tags.includes(tag.name)) }));

document.getElementById('main').append(
  make('h1', {}, `${api.info.title} ${api.info.version}`),
  make('p', {}, `${api.info.summary} `, make('a', { href: `${root}/openapi.json` }, 'openapi.json')),
  make('p', {}, prose(api.info.description)),
  make('dl', {}, Object.values(api.components.securitySchemes).flatMap((it) => [
    make('dt', {}, make('code', {}, it.type === 'http' ? 'Authorization: Bearer …' : `${it.name}: …`)),
    make('dd', {}, prose(it.description)),
  ])),
  ...groups.map((group) => make('section', {},
    make('h2', {}, group.name), make('p', { class: 'faint' }, prose(group.description)), group.operations.map(operation))),
  make('section', { class: 'schemas' }, make('h2', {}, 'Schemas'),
    Object.keys(api.components.schemas).map((name) =>
      fold({}, make('code', {}, name), () => schemaOf({ $ref: `#/components/schemas/${name}` })))));

// A long path goes on in the next line behind a slash.
const parted = (path) => path.split(/(?<=.\/)/).flatMap((part) => [part, make('wbr')]);

const find = document.getElementById('find');
function list() {
  const words = find.value.toLowerCase().split(/\s+/);
  const wanted = ({ method, path, it }) => {
    const text = `${method} ${path} ${it.summary}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  document.getElementById('contents').replaceChildren(...groups.flatMap((group) => {
    const shown = group.operations.filter(wanted);
    return shown.length ? [make('h2', {}, group.name), make('ul', {}, shown.map(({ method, path, it }) =>
      make('li', {}, make('a', { href: `#${it.operationId}`, title: it.summary },
        make('span', { class: `method ${method}` }, method.toUpperCase()), make('span', {}, parted(path))))))] : [];
  }));
}
find.addEventListener('input', list);
list();
addEventListener('keydown', (event) => {
  if (event.key === '/' && event.target !== find) {
    event.preventDefault();
    find.focus();
  }
});

// On a phone the list would hide the page.
if (matchMedia('(max-width: 56rem)').matches) document.querySelector('nav details').open = false;
// What the address names is only there now.
if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
