// Drives the reader's page in a real browser, as readers would, against a server that knows its own manual:
//
//     node page.mjs path/to/lectern [screenshot-dir]
//
// Prints one line per check and exits with 1 if one failed. It works in the current folder, which needs the
// folders `docs` and `public`. CHROMIUM names the browser; else the first Chromium or Chrome on PATH is taken.
// STORY=word tells only the stories whose title has this word.
import { finish } from './harness.mjs';

for (const name of ['guest', 'account', 'history', 'streaming', 'trouble', 'words', 'hostile', 'keyboard', 'phone', 'look', 'embed', 'chatkit']) {
  await import(`./stories/${name}.mjs`);
}
await finish();
