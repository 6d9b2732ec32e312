// Drives one Chromium for a test in another language. A command a line on stdin, an answer a line on stdout:
//   {"id":1,"do":"open","page":"a","url":"http://127.0.0.1:8080/"}   ->   {"id":1,"ok":null}   or   {"id":1,"error":"…"}
// Commands run side by side; answers carry the id. In between come events: {"event":"console","page":"a","text":"…"}.
// The end of stdin ends the browser, so nothing is left behind when the test dies.
//
//   launch      host_rules, args, ignore_certificates    (else the first `open` launches with none of them)
//   open        page, url | npm (an empty page with these packages' browser files: pusher-js, twilio-video, twilio-video-2.36.0),
//               width, height, frames (WebSocket frames as events), dark
//   eval        page, js (an expression; a promise is awaited)
//   wait        page, js, timeout (ms)                    until the expression (or its promise) is true; answers with its value
//   click, text page, selector
//   fill        page, selector, value
//   select      page, selector, value
//   press       page, key                                 as playwright names keys: "Enter", "ArrowLeft", "F1"
//   screenshot  page, path
//   offline     page, on                                  cuts the page's HTTP requests and new WebSockets
//   close       page                                      its context too
import { createServer } from "node:http";
import { createReadStream, existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { launch, npm } from "./chromium.mjs";

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");
const pages = new Map();
let browser; // a promise: commands that arrive while it starts wait for it
let blanks;

/** The file a web page loads from that package. */
function browserFile(name) {
  const file = name.startsWith("pusher-js") ? "dist/web/pusher.js" : "dist/twilio-video.js";
  return join(npm, name, file);
}

/** A server for empty pages: `getUserMedia` and WebSockets need a real origin. */
function blankServer() {
  return new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      const url = new URL(request.url, "http://127.0.0.1");
      if (url.pathname === "/") {
        const scripts = url.searchParams.getAll("npm").map((n) => `<script src="/${encodeURIComponent(n)}"></script>`);
        response.setHeader("content-type", "text/html; charset=utf-8");
        response.end(`<!doctype html><title>empty</title><link rel="icon" href="data:,"><body>${scripts.join("")}`);
        return;
      }
      const name = decodeURIComponent(url.pathname.slice(1));
      const file = browserFile(name);
      if (!/^[a-z0-9.-]+$/.test(name) || !existsSync(file)) {
        response.statusCode = 404;
        response.end();
        return;
      }
      response.setHeader("content-type", "text/javascript; charset=utf-8");
      createReadStream(file).pipe(response);
    });
    server.on("error", reject);
    server.unref();
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}/`));
  });
}

function the(page) {
  const found = pages.get(page);
  if (!found) throw new Error(`no page "${page}" is open`);
  return found;
}

async function open(c) {
  let page = pages.get(c.page);
  if (!page) {
    browser ??= launch();
    const context = await (await browser).newContext({
      viewport: { width: c.width || 1280, height: c.height || 720 },
      colorScheme: c.dark ? "dark" : "light",
      ignoreHTTPSErrors: true,
      permissions: ["camera", "microphone"]
    });
    page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on("console", (m) => say({ event: "console", page: c.page, text: m.text().slice(0, 2000) }));
    page.on("pageerror", (e) => say({ event: "pageerror", page: c.page, text: String(e.stack || e.message).slice(0, 2000) }));
    page.on("crash", () => say({ event: "crash", page: c.page }));
    if (c.frames) {
      page.on("websocket", (socket) => {
        const event = (dir) => (f) => say({ event: "frame", page: c.page, url: socket.url(), dir, data: String(f.payload).slice(0, 100_000) });
        socket.on("framesent", event("sent"));
        socket.on("framereceived", event("received"));
        socket.on("close", () => say({ event: "socket-closed", page: c.page, url: socket.url() }));
      });
    }
    pages.set(c.page, page);
  }
  let url = c.url;
  if (!url) {
    blanks ??= blankServer();
    url = (await blanks) + "?" + (c.npm || []).map((n) => "npm=" + encodeURIComponent(n)).join("&");
  }
  await page.goto(url, { waitUntil: "load" });
  return null;
}

const commands = {
  launch: async (c) => {
    if (browser) throw new Error("the browser runs already");
    browser = launch(c);
    return (await browser).version();
  },
  open,
  eval: (c) => the(c.page).evaluate(c.js),
  wait: async (c) => {
    const end = Date.now() + (c.timeout || 15_000);
    for (;;) {
      const timeout = Math.max(1, end - Date.now()); // 0 would mean without end
      const handle = await the(c.page).waitForFunction(c.js, undefined, { timeout, polling: 50 });
      // a promise counts as true there, whatever it becomes
      const value = await handle.jsonValue();
      if (value) return value;
      if (Date.now() >= end) throw new Error(`not true within ${c.timeout || 15_000} ms`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  },
  click: (c) => the(c.page).click(c.selector),
  fill: (c) => the(c.page).fill(c.selector, c.value),
  select: (c) => the(c.page).selectOption(c.selector, c.value),
  press: (c) => the(c.page).keyboard.press(c.key),
  text: (c) => the(c.page).innerText(c.selector),
  screenshot: async (c) => void (await the(c.page).screenshot({ path: c.path })),
  offline: (c) => the(c.page).context().setOffline(c.on),
  close: async (c) => {
    const page = the(c.page);
    pages.delete(c.page);
    await page.context().close();
  }
};

async function run(line) {
  let command;
  try {
    command = JSON.parse(line);
  } catch {
    return say({ error: "a line that is not JSON" });
  }
  try {
    if (!Object.hasOwn(commands, command.do)) throw new Error(`unknown command "${command.do}"`);
    say({ id: command.id, ok: (await commands[command.do](command)) ?? null });
  } catch (error) {
    say({ id: command.id, error: error.message });
  }
}

async function end() {
  const running = await browser?.catch(() => undefined);
  // a browser that hangs must not keep the test: it dies with this process
  setTimeout(() => process.exit(1), 5000).unref();
  await running?.close().catch(() => undefined);
  process.exit(0);
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => line.trim() && run(line));
lines.on("close", end);
process.on("SIGTERM", end);
process.on("SIGINT", end);
process.stdout.on("error", end); // whoever read us is gone
