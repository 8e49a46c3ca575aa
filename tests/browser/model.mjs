// A language model on this machine, which speaks OpenAI's wire and says what a story wants to hear.
import http from 'node:http';

const ANSWER = [
  'A book is read by `lectern ingest`', ', which takes a folder or a single file and writes the shelf [1].', '\n\n',
  '- Pages that did not change are not read again [1].\n', '- The kind of book is found out by itself [2].\n\n',
  '```console\n$ lectern ingest path/to/book\n```\n\n', 'Then **start the server** and ask [2].',
];

export async function startModel() {
  const model = { next: null, asked: [] };
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method !== 'POST') return void response.end('{"object":"list","data":[]}');
    model.asked.push(JSON.parse(Buffer.concat(chunks)).messages);
    const play = model.next;
    model.next = null;
    if (play === 'fail') return void response.writeHead(400).end('{"error":{"message":"no"}}');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const say = (it) => response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: it }, finish_reason: null }] })}\n\n`);
    const [first, ...rest] = play?.text ?? ANSWER;
    say(first);
    if (play) {
      response.on('close', play.hungUp);
      if (await play.released === 'break') return void response.destroy();
    }
    for (const piece of rest) say(piece);
    response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`);
    response.end('data: [DONE]\n\n');
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  model.url = `http://127.0.0.1:${server.address().port}/v1`;
  /**
   * The next answer waits after its first piece: `release` lets it go on, `breakOff` ends it there, and
   * `stopped` is when nobody listens any more.
   */
  model.hold = (text) => {
    const play = { text };
    play.released = new Promise((done) => {
      play.release = () => done();
      play.breakOff = () => done('break');
    });
    play.stopped = new Promise((done) => { play.hungUp = done; });
    model.next = play;
    return play;
  };
  model.fail = () => { model.next = 'fail'; };
  model.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return model;
}
