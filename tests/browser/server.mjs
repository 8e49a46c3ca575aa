// Starts `lectern dev` in the working folder, with data of its own and the model of the stories.
import { spawn } from 'node:child_process';

/** What somebody's own settings name, such as a database or a model with a price, is not for a test. */
const FOREIGN = /^(DATABASE_URL|NEON_DATABASE_URL|QDRANT_|BOOK_|LLM_|EMBEDDING_|OPENAI_|GEMINI_|ALLOW|DAILY_ANSWERS|RUN_LOG)/;

export async function startServer(lectern, model) {
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !FOREIGN.test(name)));
  const env = { ...own, LLM_BASE_URL: model.url, LLM_MODEL: 'stories', EMBEDDING_PROVIDER: 'none', CONDENSE_TIMEOUT: '0', LOG_LEVEL: 'WARN' };
  const child = spawn(lectern, ['dev', '--port', '0', '--data', 'data'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  process.on('exit', () => child.kill('SIGKILL')); // nothing stays behind when a story crashes
  let log = '';
  const server = { log: () => log };
  server.close = () => new Promise((closed) => {
    child.on('exit', closed);
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGTERM'), 400).unref(); // a second one waits for no open answer
  });
  const ready = new Promise((done, fail) => {
    const read = (piece) => {
      log += piece;
      const [, address] = /^ready on (\S+)$/m.exec(log) ?? [];
      if (address) done(address);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', (code) => fail(new Error(`lectern dev ended with ${code}:\n${log}`)));
  });
  server.url = await ready;
  return server;
}
