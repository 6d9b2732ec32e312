// Starts the lab and the daemon, configured for each other, and ends both. Used by the demonstration and by its check.
import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const top = join(dirname(fileURLToPath(import.meta.url)), "../..");
const programs = process.env.PROGRAMS || join(top, "target/debug");
export const logs = join(top, "target/demo");

/** A failure with a next step for whoever started this. */
export class Problem extends Error {}

/** Asks until the answer is true. */
export async function until(what, ask, atMost = 15_000, every = 50) {
  const end = Date.now() + atMost;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Problem(`${what}: not within ${atMost / 1000} s`);
    await sleep(every);
  }
}

/** One program, its output in a file; `gone` tells of an end that nobody asked for. */
class Program {
  constructor(name, args, { log, lines, env = {} }) {
    this.name = name;
    this.log = log;
    const file = createWriteStream(log);
    // a process group of its own: Ctrl-C reaches this script only, which ends the programs in order
    this.child = spawn(join(programs, name), args, { detached: true, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    this.child.stderr.pipe(file);
    const out = createInterface({ input: this.child.stdout });
    out.on("line", (line) => {
      file.write(line + "\n");
      lines?.(line);
    });
    this.ended = new Promise((resolve) => {
      this.child.on("error", (e) => resolve(`does not start: ${e.message}; run \`make build\``));
      this.child.on("close", (code, signal) => resolve(signal ? `was ended by ${signal}` : `ended with status ${code}`));
    });
    this.ended.then((how) => (this.how = how));
  }

  /** Asks it to end; answers how it ended. */
  async stop() {
    if (this.how === undefined) {
      this.child.kill("SIGTERM");
      if (!(await Promise.race([this.ended, sleep(10_000, "", { ref: false })]))) this.child.kill("SIGKILL");
    }
    return this.ended;
  }

  async lastWords(lines = 12) {
    const text = await readFile(this.log, "utf8").catch(() => "");
    return text.trimEnd().split("\n").slice(-lines).join("\n");
  }
}

/** What the platform knows as resident 1124's box; `options` as the Makefile's variables. */
function configuration(lab, key, folder, options) {
  const text = (value) => JSON.stringify(String(value)); // a JSON string is a TOML string
  return `# Written by tests/demo/house.mjs; gone when it ends.
line.chatta.enabled = true
line.chatta.api = ${text(lab.api_url)}
line.chatta.pusher = ${text(`ws://127.0.0.1:${lab.pusher}`)}
line.chatta.key = ${text(key)}
line.chatta.rooms = ${text(lab.rooms_url)}
line.chatta.username = "chattademo"
line.chatta.password_file = ${text(join(folder, "password"))}
consent.automatic = "always"
media.camera = ${text(options.camera)}
media.microphone = ${text(options.microphone)}
media.speaker = ${text(options.speaker)}
tv.driver = "lab"
tv.lab = ${text(lab.tv_url)}
tv.sink = ${text(options.screen)}
api.socket = ${text(join(folder, "residentd.sock"))}
state.directory = ${text(join(folder, "state"))}
log.level = ${text(options.log)}
`;
}

const defaults = { page: 0, api: 0, pusher: 0, rooms: 0, camera: "test", microphone: "test", speaker: "tv", screen: "driver", log: "info", volume: 18 };

/** Starts both; `{url, state(), residentd, lab, stop()}` once the resident is online. */
export async function start(given = {}) {
  const options = { ...defaults, ...Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined && v !== "")) };
  const folder = await mkdtemp(join(tmpdir(), "residentd-demo-"));
  await mkdir(logs, { recursive: true });
  const running = [];
  const stop = async () => {
    const how = [];
    for (const program of running.reverse()) how.push([program.name, await program.stop()]);
    running.length = 0;
    await rm(folder, { recursive: true, force: true });
    return Object.fromEntries(how);
  };
  try {
    let told;
    const ready = new Promise((resolve) => (told = resolve));
    const ports = ["page", "api", "pusher", "rooms"].flatMap((name) => [`--${name}`, String(options[name])]);
    const lab = new Program("residentd-lab", [...ports, "--tv-volume", String(options.volume), "--ca", join(folder, "ca.pem")], {
      log: join(logs, "lab.log"),
      lines: (line) => line.startsWith("{") && told(JSON.parse(line)),
      env: options.npm ? { RESIDENTD_NPM: options.npm } : {}
    });
    running.push(lab);
    const where = await Promise.race([ready, lab.ended]);
    if (typeof where === "string") {
      const words = await lab.lastWords();
      const taken = /port (\d+) .*(in use|permission denied)/i.exec(words);
      throw new Problem(taken ? `port ${taken[1]} is taken: choose another, e.g. PORT=${Number(taken[1]) + 1}` : `the lab ${where}\n${words}`);
    }
    const url = `${where.page_url}/`;
    const config = await (await fetch(`${url}lab/config`)).json();
    const state = async () => (await fetch(`${url}lab/state`)).json();

    await mkdir(join(folder, "state"));
    await writeFile(join(folder, "password"), "password\n", { mode: 0o600 });
    await writeFile(join(folder, "residentd.toml"), configuration(where, config.pusher.key, folder, options));
    const residentd = new Program("residentd", ["--config", join(folder, "residentd.toml")], { log: join(logs, "residentd.log") });
    running.push(residentd);
    await until("the box online", async () => {
      if (residentd.how) throw new Problem(`residentd ${residentd.how}\n${await residentd.lastWords()}`);
      return JSON.stringify((await state()).pusher).includes("chattademo");
    }, 20_000, 100);
    return { url, state, lab, residentd, stop, socket: join(folder, "residentd.sock") };
  } catch (error) {
    await stop();
    throw error;
  }
}
