// The carer's console.
import { Call } from "./call.js";
import * as log from "./log.js";
import { audio, Ear, Eye, ringback } from "./media.js";
import { Platform } from "./platform.js";
import * as tv from "./tv.js";

const by = (id) => document.getElementById(id);
const remembered = "carer"; // in the session storage: a reloaded page logs in by itself and selects the same resident
const config = await (await fetch("/lab/config")).json();
let platform, residents = new Map(), selected, call, quiet;
let touched = false; // the delay is the number 0 until somebody chooses, then the chosen text, as the platform's app sends it

const remoteEar = new Ear(by("remote-level")), selfEar = new Ear(by("self-level")), remoteEye = new Eye(), tvEye = new Eye();

// ---- log in -----------------------------------------------------------------------------------------------------------
const remember = (more) => {
  const before = JSON.parse(sessionStorage.getItem(remembered) ?? "{}");
  sessionStorage.setItem(remembered, JSON.stringify({ ...before, ...more }));
};

by("username").value = config.login?.username ?? "";
by("password").value = config.login?.password ?? "";
by("login").onsubmit = async (e) => {
  e.preventDefault();
  audio();
  by("login-problem").textContent = "";
  if (!window.Pusher || !window.Twilio) return (by("login-problem").textContent = "The page's libraries are missing: run make tools, then reload.");
  by("login-button").disabled = true;
  try {
    const fresh = new Platform(config);
    await fresh.login(by("username").value, by("password").value);
    remember({ session: fresh.session });
    await enter(fresh);
  } catch (error) {
    by("login-problem").textContent = error.status === 400 ? "User name or password is wrong." : `That did not work: ${error.message}`;
  }
  by("login-button").disabled = false;
};

async function enter(fresh) {
  residents = new Map((await fresh.residents()).map((r) => [r.id, r]));
  platform = fresh;
  platform.connect({ link, resident, reply: (kind, data) => call?.reply(kind, data) });
  const user = platform.user;
  by("who-name").textContent = `Logged in as ${fullName(user)}`;
  by("who").hidden = false;
  by("login").hidden = true;
  by("desk").hidden = by("link").hidden = false;
  document.body.dataset.login = "yes";
  const before = JSON.parse(sessionStorage.getItem(remembered) ?? "{}").resident;
  const first = [...residents.values()].sort(order)[0]?.id;
  select(residents.has(before) ? before : first);
  by("before").focus();
}

by("logout").onclick = () => {
  call?.hangUp();
  sessionStorage.removeItem(remembered);
  // the sockets close after what was just said has left
  setTimeout(() => location.reload(), 300);
};

let linkWas = "";
async function link(word) {
  const known = { connected: "connected", connecting: "connecting", unavailable: "no connection", failed: "no connection", refused: "refused" };
  by("link-word").textContent = known[word] ?? word;
  by("link").classList.toggle("online", word === "connected");
  // what changed while the connection was down was not told
  if (word === "connected" && linkWas === "lost") {
    for (const r of await platform.residents().catch(() => [])) resident(r);
  }
  linkWas = word === "connected" ? "connected" : linkWas === "connected" ? "lost" : linkWas;
}

// ---- residents --------------------------------------------------------------------------------------------------------
const fullName = (u) => [u.first_name, u.last_name].filter(Boolean).join(" ") || u.username;
const initials = (u) => fullName(u).split(/\s+/).map((w) => w[0]).slice(0, 2).join("").toUpperCase();
const colour = (u) => `hsl(${(u.id * 47) % 360} 32% 40%)`;
const order = (a, b) => (b.online ?? false) - (a.online ?? false) || fullName(a).localeCompare(fullName(b));

function resident(record) {
  if (!record || record.user_type !== undefined && record.user_type !== "resident") return;
  const before = residents.get(record.id);
  if (!before && record.username === undefined) return;
  residents.set(record.id, { ...before, ...record });
  if (selected === undefined) selected = record.id;
  list();
}

function list() {
  const rows = [...residents.values()].sort((a, b) => fullName(a).localeCompare(fullName(b))).map((r) => {
    const row = document.createElement("li");
    row.id = `resident-${r.id}`;
    row.role = "option";
    row.ariaSelected = r.id === selected;
    row.dataset.online = Boolean(r.online);
    const face = Object.assign(document.createElement("span"), { className: "initials", textContent: initials(r), ariaHidden: "true" });
    face.style.background = colour(r);
    const name = Object.assign(document.createElement("span"), { className: "name", textContent: fullName(r) });
    const presence = Object.assign(document.createElement("span"), { className: `presence ${r.online ? "online" : ""}` });
    presence.append(Object.assign(document.createElement("span"), { className: "dot" }), r.online ? "online" : "offline");
    row.append(face, name, presence);
    row.onclick = () => select(r.id);
    return row;
  });
  by("residents").replaceChildren(...rows);
  by(`resident-${selected}`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (selected !== undefined) by("residents").setAttribute("aria-activedescendant", `resident-${selected}`);
  present();
}

function select(id) {
  if (call || id === undefined) return;
  selected = id;
  remember({ resident: id });
  status(residents.get(id)?.online ? "Ready to call." : "");
  list();
}

by("residents").onkeydown = (e) => {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[e.key];
  if (!step) return;
  e.preventDefault();
  const ids = [...by("residents").children].map((row) => Number(row.id.slice(9)));
  select(ids[Math.min(ids.length - 1, Math.max(0, ids.indexOf(selected) + step))]);
};

/** Shows whom a call would reach. */
function present() {
  const r = residents.get(selected);
  by("callee").textContent = r ? fullName(r) : "Nobody is here yet";
  by("face").textContent = r ? initials(r) : "";
  by("face").style.background = r ? colour(r) : "";
  const place = [r?.site?.name, r && (r.online ? "online" : "offline: the box is not connected")].filter(Boolean).join(" · ");
  if (!call) by("callee-state").textContent = place;
  for (const id of ["video-call", "audio-call"]) by(id).disabled = !r?.online || Boolean(call);
}

// ---- the call -----------------------------------------------------------------------------------------------------------
by("auto-accept").onchange = (e) => (by("accept-after").disabled = e.target.checked);
by("accept-after").onchange = () => (touched = true);
by("video-call").onclick = () => dial(false);
by("audio-call").onclick = () => dial(true);
by("hang-up").onclick = () => call?.hangUp();

const words = {
  waking: "Waking screen…", room: "Waking screen…", calling: "Calling…", joining: "Accepted! Connecting…", "in-call": "In call"
};
let since;

function status(text, bad = false) {
  by("status").textContent = text;
  by("status").parentElement.classList.toggle("bad", bad);
}
function notice(text) {
  by("banner").textContent = text;
  by("banner").hidden = !text;
}

function dial(audioOnly) {
  const target = residents.get(selected);
  if (call || !target) return;
  audio();
  const acceptAfter = touched ? by("accept-after").value : 0;
  call = new Call(platform, target, { audioOnly, autoAccept: by("auto-accept").checked, acceptAfter }, {
    state(state) {
      document.body.dataset.call = state;
      status(words[state]);
      by("callee-state").textContent = words[state];
      if (state === "calling") quiet = ringback();
      else hush();
      if (state === "in-call") since = Date.now();
    },
    local(media) {
      const of = (kind) => media.tracks.find((t) => t.kind === kind);
      selfEar.listen(of("audio"));
      if (of("video")) by("self").srcObject = new MediaStream([of("video")]);
      by("self").classList.toggle("live", Boolean(of("video")?.enabled));
    },
    track(track) {
      if (track.kind === "video") {
        track.attach(by("remote"));
        by("remote").classList.add("live");
      } else {
        // Chromium gives a remote sound to the audio graph only while an element plays it
        Object.assign(track.attach(), { autoplay: true }).play?.().catch(() => {});
        remoteEar.listen(track.mediaStreamTrack);
      }
    },
    untrack(track) {
      track.detach();
      if (track.kind === "video") by("remote").classList.remove("live");
      else remoteEar.stop();
    },
    notice,
    over
  });
  by("camera").hidden = audioOnly;
  // not the button: Enter is the remote control's OK, and should not hang up
  by("during").focus();
  present();
  call.start();
}

function hush() {
  quiet?.();
  quiet = undefined;
}

function over(reason, bad) {
  call = undefined;
  hush();
  remoteEar.stop();
  selfEar.stop();
  notice("");
  for (const id of ["remote", "self"]) {
    by(id).srcObject = null;
    by(id).classList.remove("live");
  }
  for (const id of ["mute", "camera"]) pressed(by(id), false);
  document.body.dataset.call = "idle";
  by("duration").textContent = "";
  status(since ? `${reason} after ${duration()}` : reason, bad);
  since = undefined;
  list();
  if (document.activeElement === document.body) by("before").focus();
}

function pressed(b, on) {
  b.setAttribute("aria-pressed", on);
  b.textContent = { mute: on ? "Unmute" : "Mute", camera: on ? "Camera on" : "Camera off" }[b.id];
}
for (const [id, kind] of [["mute", "audio"], ["camera", "video"]]) {
  by(id).onclick = () => {
    const off = by(id).getAttribute("aria-pressed") !== "true";
    pressed(by(id), off);
    call?.enable(kind, !off);
    if (kind === "video") by("self").classList.toggle("live", !off && Boolean(by("self").srcObject));
  };
}

const duration = () => {
  const s = Math.floor((Date.now() - since) / 1000);
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
};
// beside the status, which screen readers speak whenever it changes
setInterval(() => (by("duration").textContent = call?.state === "in-call" ? duration() : ""), 500);

// ---- what a check asks the page -----------------------------------------------------------------------------------------
window.check = () => {
  const video = by("remote"), remoteSound = remoteEar.peak, tvSound = tv.seen.level;
  remoteEar.peak = tv.seen.level = 0;
  const shown = tvEye.look(by("screen"));
  return {
    call: document.body.dataset.call,
    status: by("status").textContent,
    remote: {
      width: video.videoWidth,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      movement: video.videoWidth ? remoteEye.look(video).movement : 0,
      loudness: remoteSound
    },
    tv: {
      power: by("tv-power").textContent,
      input: by("tv-input").textContent,
      pictures: tv.seen.pictures,
      movement: shown.movement,
      colour: shown.colour,
      loudness: tvSound
    }
  };
};

tv.connect();
log.connect();
const { session } = JSON.parse(sessionStorage.getItem(remembered) ?? "{}");
if (session?.token) {
  const again = new Platform(config);
  again.resume(session);
  await enter(again).catch(() => sessionStorage.removeItem(remembered)); // the lab was restarted: its tokens are new
}
document.body.dataset.ready = "yes";
