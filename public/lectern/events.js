// Reads server-sent events from the body of a response.

/** The server says something every 10 seconds; so long a silence means that nobody is there any more. */
const SILENCE_MS = 35_000;

/** Each event's `data`, and the newest `id`. Pieces may be cut anywhere: in a line, a CRLF, a character. */
export async function* events(body) {
  const pieces = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let data = [];
  let id;
  try {
    for (;;) {
      const { done, value = '' } = await orSilence(pieces.read());
      rest += value;
      // A CR that ends a piece may be half of a CRLF: it waits for what comes next.
      const lines = rest.split(done ? /\r\n|\r|\n/ : /\r\n|\r(?!$)|\n/);
      rest = lines.pop();
      for (const line of lines) {
        const [, field, text] = /^(\w*):? ?(.*)$/.exec(line) ?? [];
        if (line === '') {
          if (data.length) yield { id, data: data.join('\n') };
          data = [];
        } else if (field === 'data') {
          data.push(text);
        } else if (field === 'id') {
          id = text;
        } // Comments such as ": ping" and other fields mean nothing here.
      }
      if (done) return; // an event without its empty line is not whole, and dropped
    }
  } finally {
    pieces.cancel().catch(() => {}); // it may have broken already
  }
}

function orSilence(read) {
  let timer;
  const silence = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error('silence')), SILENCE_MS);
  });
  return Promise.race([read, silence]).finally(() => clearTimeout(timer));
}
