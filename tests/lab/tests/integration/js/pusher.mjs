// What the real pusher-js sees of a Pusher server. Usage: node pusher.mjs <scenario> <json>, npm packages in RESIDENTD_NPM.
// Prints one line of JSON: what was observed. Judging is the caller's business.
import { createRequire } from "node:module";
import { join } from "node:path";

const Pusher = createRequire(join(process.env.RESIDENTD_NPM, "x"))("pusher-js");
const [scenario, settings] = [process.argv[2], JSON.parse(process.argv[3])];
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

/** Waits for a condition by asking often; the events themselves come from pusher-js. */
async function until(what, condition, ms = 15000) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(5)) if (condition()) return;
  throw new Error(`waited in vain until ${what}`);
}

async function rest(method, path, body, token) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(settings.api + path, { method, headers, body: body && JSON.stringify(body) });
  return response.json();
}

const fault = (body) => fetch(settings.page + "/lab/faults", { method: "POST", body: JSON.stringify(body) });

/** A pusher-js logged in as somebody, with everything it says written down. */
async function member(username, options = {}) {
  const { token, user } = await rest("POST", "/api-token-auth/", { username, password: "password" });
  const started = Date.now();
  const pusher = new Pusher(options.key || settings.key, {
    cluster: "eu", wsHost: settings.host, wsPort: settings.port, forceTLS: false, enabledTransports: ["ws"], disableStats: true,
    authEndpoint: settings.api + "/pusher/auth/", auth: { headers: { AUTHORIZATION: `Bearer ${token}` } }, ...options
  });
  const said = { states: [], errors: [], events: [], subscriptionErrors: [] };
  pusher.connection.bind("state_change", (s) => said.states.push([s.current, Date.now() - started]));
  pusher.connection.bind("error", (e) => said.errors.push(e.data || e.error?.data || e));
  const channel = (name) => {
    const c = pusher.subscribe(name);
    c.bind_global((event, data) => said.events.push([event, data]));
    c.bind("pusher:subscription_error", (e) => said.subscriptionErrors.push(e));
    return c;
  };
  return { pusher, user, token, said, channel, state: () => pusher.connection.state };
}

const scenarios = {
  /** Two members talk, presence is heard, the box is woken. */
  async talk() {
    const caller = await member("roger_chatta_admin");
    const calls = caller.channel("private-call-7");
    const presence = caller.channel("private-presence-7");
    await until("the caller is in", () => calls.subscribed && presence.subscribed);
    const resident = await member("chattademo");
    const ring = resident.channel("private-call-7");
    const woken = resident.channel("private-presence-7");
    await until("the resident is in", () => ring.subscribed && woken.subscribed);
    await until("presence is heard", () => caller.said.events.some(([e]) => e === "resident_updated"));
    const list = await rest("GET", "/v2/resident?online=true&customer=7", undefined, caller.token);
    await rest("PATCH", "/v2/set-top-box/322/power_normal?force=true", {}, caller.token);
    calls.trigger("client-conferencing-call-requested-1124", { roomName: "r", initiator: { id: 5 }, umlaut: "Grüße \"x\"" });
    await until("it rings", () => resident.said.events.some(([e]) => e === "client-conferencing-call-requested-1124"));
    ring.trigger("client-conferencing-call-accepted-5", { roomName: "r" });
    await until("the answer is heard", () => caller.said.events.some(([e]) => e === "client-conferencing-call-accepted-5"));
    resident.pusher.disconnect();
    await until("the end of presence is heard", () => caller.said.events.some(([e, d]) => e === "resident_updated" && !d.online));
    return { caller: caller.said, resident: resident.said, list };
  },

  async limits() {
    const a = await member("roger_chatta_admin");
    const b = await member("second_admin");
    const [from, to] = [a.channel("private-call-7"), b.channel("private-call-7")];
    await until("both are in", () => from.subscribed && to.subscribed);
    for (let i = 0; i < 15; i++) from.trigger("client-burst", { i });
    await until("errors come", () => a.said.errors.length === 5);
    await sleep(1050); // the limit is one of the clock: ten a second
    const text = (bytes) => "x".repeat(bytes - '{"t":""}'.length);
    from.trigger("client-large", { t: text(10240) });
    from.trigger("client-large", { t: text(10241) });
    await until("the last error comes", () => a.said.errors.length === 6);
    const open = a.channel("public-channel");
    await until("the public channel is in", () => open.subscribed);
    open.trigger("client-public", {});
    a.pusher.send_event("client-stranger", {}, "private-call-8");
    await until("their errors come", () => a.said.errors.length === 8);
    const count = (name, who) => who.said.events.filter(([e]) => e === name).length;
    return {
      delivered: count("client-burst", b), large: count("client-large", b), echoed: count("client-burst", a),
      errors: a.said.errors, state: a.state()
    };
  },

  async refused() {
    const wrong = await member("chattademo", { key: "nobody" });
    await until("the wrong key is refused", () => ["disconnected", "failed"].includes(wrong.state()));
    const foreign = await member("chattademo");
    foreign.channel("private-call-8");
    await until("the other customer's channel is refused", () => foreign.said.subscriptionErrors.length);
    const forged = await member("chattademo", { channelAuthorization: { customHandler: (_, done) => done(null, { auth: `${settings.key}:00` }) } });
    forged.channel("private-call-7");
    await until("the forged signature is refused", () => forged.said.subscriptionErrors.length);
    return { wrong: wrong.said, foreign: foreign.said.subscriptionErrors, forged: forged.said.subscriptionErrors, forgedState: forged.state() };
  },

  /** What pusher-js does after each close code, as recorded against other servers. */
  async closes() {
    const seen = {};
    for (const code of settings.codes) {
      const m = await member("chattademo");
      const channel = m.channel("private-call-7");
      await until("it is in", () => channel.subscribed);
      const socket = m.pusher.connection.socket_id;
      const at = Date.now();
      const before = m.said.states.length;
      await fault(code ? { fault: "close", at: "pusher", code, who: "chattademo" } : { fault: "drop", at: "pusher", who: "chattademo" });
      await until("it is closed", () => m.said.states.length > before);
      await until("it is back or gives up", () => (m.state() === "connected" && channel.subscribed) || m.state() === "disconnected", 5000);
      const back = m.state() === "connected";
      seen[code] = { back, ms: Date.now() - at, newSocket: back && socket !== m.pusher.connection.socket_id };
      m.pusher.disconnect();
    }
    return seen;
  },

  /** A server that falls silent is left, and found again when it speaks. */
  async silence() {
    const m = await member("chattademo", { pongTimeout: 300 });
    const channel = m.channel("private-call-7");
    await until("it is in", () => channel.subscribed);
    await fault({ fault: "half_open", at: "pusher", who: "chattademo", on: true });
    const before = m.said.states.length;
    await until("the silence is noticed", () => m.said.states.length > before);
    await fault({ fault: "reset" });
    await until("it is back", () => m.state() === "connected" && channel.subscribed);
    return m.said.states.map(([s]) => s);
  },

  async presence() {
    const a = await member("roger_chatta_admin");
    const first = a.channel("presence-customer-7");
    await until("the first is in", () => first.subscribed);
    const b = await member("chattademo");
    const second = b.channel("presence-customer-7");
    await until("the second is in", () => second.subscribed);
    await until("it is announced", () => first.members.count === 2);
    const members = Object.keys(second.members.members).sort();
    b.pusher.unsubscribe("presence-customer-7");
    await until("its leaving is announced", () => first.members.count === 1);
    return { members, me: second.members.me?.id, info: first.members.get("5")?.info };
  }
};

try {
  process.stdout.write(JSON.stringify(await scenarios[scenario]()) + "\n", () => process.exit(0));
} catch (error) {
  process.stderr.write(`${error.stack}\n`, () => process.exit(1));
}
