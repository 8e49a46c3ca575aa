// A relay in front of the server, below a path prefix. It can hold a stream back, cut it to pieces or
// answer in the server's place, so that streaming and failures are shown by cause and never by the clock.
import http from 'node:http';

const PREFIX = '/a/shelf/';

/** Serves `base` below a prefix. `next`, if set, answers one question in its place. */
export async function startRelay(base) {
  const relay = { next: null, seen: [], resumed: [], isDown: false };
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = chunks.length ? Buffer.concat(chunks) : undefined;
    if (relay.isDown) return void request.socket.destroy();
    if (!request.url.startsWith(PREFIX)) return void response.writeHead(404).end();
    const { host, origin, referer, connection, 'content-length': _, ...headers } = request.headers;
    const left = new AbortController();
    response.on('close', () => left.abort());
    const upstream = () => fetch(new URL(request.url.slice(PREFIX.length), `${base.replace(/\/$/, '')}/`), { method: request.method, headers, body, signal: left.signal });
    try {
      if (/\/chat\/runs\/[^/]+$/.test(request.url)) relay.resumed.push(headers['last-event-id']);
      if (request.url.endsWith('/chat/stream')) {
        relay.seen.push({ token: headers.authorization, ...JSON.parse(body) });
        const play = relay.next;
        relay.next = null;
        if (play) return await play(response, upstream);
      }
      await pass(await upstream(), response);
    } catch (error) {
      response.destroy(error);
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  relay.url = `http://127.0.0.1:${server.address().port}${PREFIX}`;
  relay.close = () => {
    server.closeAllConnections();
    server.close();
  };
  /** The network is gone: open connections break and no new one is answered. */
  relay.goDown = () => {
    relay.isDown = true;
    server.closeAllConnections();
  };
  relay.comeBack = () => { relay.isDown = false; };
  return relay;
}

function head(answer, response) {
  response.writeHead(answer.status, Object.fromEntries([...answer.headers].filter(([name]) => !/^(content-(encoding|length)|transfer-encoding|connection)$/.test(name))));
}

async function pass(answer, response) {
  head(answer, response);
  for await (const piece of answer.body ?? []) response.write(piece);
  response.end();
}

const stream = (response) => response.writeHead(200, { 'content-type': 'text/event-stream' });
const event = (it) => `data: ${JSON.stringify(it)}\n\n`;

/** The real answer with CRLF and comments, one to three bytes at a time: in the middle of lines and letters. */
export async function cutUp(response, upstream) {
  const text = (await (await upstream()).text()).replaceAll('\n\n', '\n\n: ping\n').replaceAll('\n', '\r\n');
  const bytes = Buffer.from(text);
  stream(response);
  response.socket.setNoDelay(true);
  for (let i = 0, step = 1; i < bytes.length; i += step, step = (step % 3) + 1) {
    response.write(bytes.subarray(i, i + step));
    await new Promise(setImmediate);
  }
  response.end();
}

/** The real answer, cut off behind its first event, as a proxy that gave up would do it. */
export async function cutOff(response, upstream) {
  const answer = await upstream();
  head(answer, response);
  for await (const piece of answer.body) {
    response.write(piece);
    break;
  }
  response.end();
}

export const events = (...list) => (response) => stream(response).end(list.map(event).join(''));

export const final = (content, more = {}) => ({ content, status: 'success', message_id: 'm', sources: [], refused: false, unsupported: false, degraded: [], ...more });

export const problem = (status, code, detail) => (response) => response
  .writeHead(status, { 'content-type': 'application/problem+json' })
  .end(JSON.stringify({ type: 'about:blank', title: code, status, code, detail, message: detail, request_id: 'request-17' }));
