// The television in the resident's room, as the lab keeps it: what is on its screen, its sound, and the remote control.
// As with a real one, power, input and volume act on the set itself; the other keys go to the box, and power tells it too.
import { audio, loudness } from "./media.js";

const by = (id) => document.getElementById(id);
const inputs = ["tuner", "hdmi2", "box"];
const inputNames = { box: "HDMI 1 (box)", tuner: "TV programme", hdmi2: "HDMI 2" };

const canvas = by("screen"), screen = canvas.getContext("2d");
const set = { power: "unknown", input: "unknown", volume: 0, box: false };
/** What tests ask: pictures and sound that arrived from the box. */
export const seen = { pictures: 0, level: 0 };
let loudBefore = 30; // the volume that un-muting goes back to

// ---- the link -------------------------------------------------------------------------------------------------------
let socket, retry = 250;
export function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/tv/view`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => (retry = 250);
  socket.onmessage = ({ data }) => (typeof data === "string" ? state(JSON.parse(data)) : binary(data));
  socket.onclose = () => {
    show({ power: "unknown", input: "unknown", volume: set.volume, box: false });
    setTimeout(connect, retry * (0.5 + Math.random()));
    retry = Math.min(retry * 2, 5000);
  };
}
const send = (message) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));

function binary(data) {
  const kind = new Uint8Array(data, 0, 1)[0];
  if (kind === 1) picture(new Blob([new Uint8Array(data, 1)], { type: "image/jpeg" }));
  if (kind === 2) sound(data);
}

// ---- power, input, volume ---------------------------------------------------------------------------------------------
function state(message) {
  if (message.type === "state") show(message);
}
function show(now) {
  const before = { ...set };
  Object.assign(set, { power: now.power, input: now.input, volume: now.volume, box: now.box !== false });
  const on = set.power === "on";
  by("set").dataset.power = set.power;
  by("tv-power").textContent = { on: "on", standby: "standby" }[set.power] ?? "no connection to the lab";
  by("tv-input").textContent = inputNames[set.input] ?? set.input;
  by("tv-volume").textContent = set.volume === 0 ? "0 (muted)" : set.volume;
  loudspeaker();
  if (before.box !== set.box) boxFact();
  if (before.power === "unknown") return;
  if (before.power !== set.power) say(on ? "Television on" : "Television in standby", on ? (inputNames[set.input] ?? "") : "");
  else if (before.input !== set.input) say(`Input ${inputNames[set.input] ?? set.input}`, inputNames[set.input] ?? set.input);
  else if (before.volume !== set.volume) say("", set.volume ? `Volume ${set.volume}` : "Muted");
}

let osdTimer;
/** Speaks to a screen reader and shows on the television, as televisions do. */
function say(spoken, shown) {
  if (spoken) by("tv-says").textContent = spoken;
  by("osd").textContent = shown;
  by("osd").classList.toggle("shown", Boolean(shown) && set.power === "on");
  clearTimeout(osdTimer);
  osdTimer = setTimeout(() => by("osd").classList.remove("shown"), 2000);
}

// ---- the screen ---------------------------------------------------------------------------------------------------------
let newest, decoding = false, box, lastPicture = -Infinity, rate = 0;

/** Decodes the newest picture only: a slow machine shows fewer, never older ones. */
async function picture(blob) {
  seen.pictures++;
  rate++;
  lastPicture = performance.now();
  newest = blob;
  if (decoding) return;
  decoding = true;
  while (newest) {
    const next = newest;
    newest = undefined;
    const decoded = await createImageBitmap(next).catch(() => undefined);
    if (!decoded) continue;
    box?.close();
    box = decoded;
    if (set.input === "box") draw();
  }
  decoding = false;
}

function draw() {
  if (set.input === "box" && box) {
    if (canvas.width !== box.width || canvas.height !== box.height) Object.assign(canvas, { width: box.width, height: box.height });
    screen.drawImage(box, 0, 0);
  } else if (set.input === "tuner") {
    programme();
  } else {
    screen.fillStyle = "#05070a";
    screen.fillRect(0, 0, canvas.width, canvas.height);
    screen.fillStyle = "#8b97a0";
    screen.font = `${canvas.height / 22}px sans-serif`;
    screen.textAlign = "center";
    screen.fillText("No signal", canvas.width / 2, canvas.height / 2);
    screen.textAlign = "start";
  }
}

/** What a resident might be watching: an evening by the sea. */
function programme() {
  const w = canvas.width, h = canvas.height, t = performance.now() / 1000, horizon = h * 0.6;
  const sky = screen.createLinearGradient(0, 0, 0, horizon);
  sky.addColorStop(0, "#2b4c7e");
  sky.addColorStop(0.7, "#e08e5b");
  sky.addColorStop(1, "#f6cf8a");
  screen.fillStyle = sky;
  screen.fillRect(0, 0, w, horizon);
  screen.fillStyle = "#fff1c4";
  screen.beginPath();
  screen.arc(w * 0.68, horizon - h * 0.1, h * 0.07, 0, 7);
  screen.fill();
  const sea = screen.createLinearGradient(0, horizon, 0, h);
  sea.addColorStop(0, "#c98d63");
  sea.addColorStop(0.25, "#41637f");
  sea.addColorStop(1, "#16283b");
  screen.fillStyle = sea;
  screen.fillRect(0, horizon, w, h - horizon);
  screen.strokeStyle = "#ffe6b04d";
  screen.lineWidth = h / 260;
  for (let i = 0; i < 13; i++) {
    const y = horizon + (h - horizon) * ((i + 1) / 14) ** 1.6, x = w * 0.68 + Math.sin(t * 0.8 + i * 1.9) * w * 0.05, long = w * (0.03 + i * 0.012);
    screen.beginPath();
    screen.moveTo(x - long, y);
    screen.lineTo(x + long, y);
    screen.stroke();
  }
  const boat = ((t * 0.012) % 1.3) * w - w * 0.15, up = horizon + h * 0.03 + Math.sin(t * 1.4) * h * 0.004;
  screen.fillStyle = "#1a2430";
  screen.beginPath();
  screen.moveTo(boat, up);
  screen.lineTo(boat + w * 0.07, up);
  screen.lineTo(boat + w * 0.058, up + h * 0.022);
  screen.lineTo(boat + w * 0.012, up + h * 0.022);
  screen.fill();
  screen.beginPath();
  screen.moveTo(boat + w * 0.033, up - h * 0.13);
  screen.lineTo(boat + w * 0.066, up - h * 0.01);
  screen.lineTo(boat + w * 0.033, up - h * 0.01);
  screen.fill();
  const caption = "Channel 1 · The Evening Tide";
  screen.font = `${h / 24}px sans-serif`;
  screen.fillStyle = "#0009";
  screen.fillRect(w * 0.04, h * 0.86, screen.measureText(caption).width + w * 0.03, h * 0.08);
  screen.fillStyle = "#fff";
  screen.fillText(caption, w * 0.055, h * 0.915);
}

// The programme is drawn here, a few times a second, and only while it is seen.
setInterval(() => {
  if (set.power === "on" && set.input !== "box") draw();
}, 120);
function boxFact() {
  const idle = performance.now() - lastPicture > 1500;
  const picture = box ? `${box.width}×${box.height}, ${idle || !rate ? "still" : `${rate}/s`}` : "connected";
  by("tv-box").textContent = set.box ? picture : "not connected";
}
setInterval(() => {
  boxFact();
  rate = 0;
}, 1000);

// ---- its sound ----------------------------------------------------------------------------------------------------------
let gain, playFrom = 0, listening = false;

function loudspeaker() {
  if (gain) gain.gain.value = listening && set.power === "on" ? set.volume / 100 : 0;
}

/** Stereo PCM, 16 bit little-endian, 48 kHz, after one byte of kind. */
function sound(data) {
  const samples = new DataView(data, 1), frames = Math.floor(samples.byteLength / 4);
  if (!frames) return;
  const left = new Float32Array(frames), right = new Float32Array(frames);
  for (let i = 0; i < frames; i++) {
    left[i] = samples.getInt16(i * 4, true) / 32768;
    right[i] = samples.getInt16(i * 4 + 2, true) / 32768;
  }
  const level = loudness(left);
  seen.level = Math.max(seen.level, level);
  heard = Math.max(heard, level);
  if (!listening) return;
  const a = audio(), buffer = a.createBuffer(2, frames, 48_000), source = a.createBufferSource();
  buffer.copyToChannel(left, 0);
  buffer.copyToChannel(right, 1);
  // 80 ms in hand; more than half a second behind is thrown away
  if (playFrom < a.currentTime) playFrom = a.currentTime + 0.08;
  if (playFrom > a.currentTime + 0.5) return;
  source.buffer = buffer;
  source.connect(gain);
  source.start(playFrom);
  playFrom += frames / 48_000;
}
let heard = 0;
setInterval(() => {
  by("tv-level").value = heard;
  heard = 0;
}, 100);

by("sound").onclick = () => {
  listening = !listening;
  const a = audio();
  if (!gain) {
    gain = a.createGain();
    gain.connect(a.destination);
  }
  by("sound").setAttribute("aria-pressed", listening);
  by("sound").textContent = listening ? "Listening to the television" : "Listen to the television";
  loudspeaker();
};

// ---- the remote control -----------------------------------------------------------------------------------------------
// What the set does itself; such a key does not reach the box.
const own = {
  source: () => send({ type: "input", to: inputs[(inputs.indexOf(set.input) + 1) % inputs.length] }),
  volume_up: () => send({ type: "volume", to: Math.min(100, set.volume + 4) }),
  volume_down: () => send({ type: "volume", to: Math.max(0, set.volume - 4) }),
  mute: () => {
    if (set.volume) loudBefore = set.volume;
    send({ type: "volume", to: set.volume ? 0 : loudBefore });
  }
};
/** Whether a key stays with the set: mute goes to the box while that is what one looks at. */
const staysHere = (key) => own[key] && !(key === "mute" && set.power === "on" && set.input === "box" && set.box);

const held = new Set();
function press(key) {
  button(key)?.classList.add("down");
  if (staysHere(key)) return own[key]();
  if (held.has(key)) return;
  held.add(key);
  send({ type: "key", key, pressed: true });
  if (key === "power") send({ type: "power", to: set.power === "on" ? "standby" : "on" });
}
function release(key) {
  button(key)?.classList.remove("down");
  if (held.delete(key)) send({ type: "key", key, pressed: false });
}
const button = (key) => by("remote-control").querySelector(`[data-key="${key}"]`);

for (const b of by("remote-control").querySelectorAll("[data-key]")) {
  const key = b.dataset.key;
  b.addEventListener("pointerdown", (e) => {
    if (e.button) return;
    // the pointer does not take the focus: Enter stays the remote's OK
    e.preventDefault();
    b.setPointerCapture(e.pointerId);
    press(key);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) b.addEventListener(end, () => release(key));
  // by keyboard or by a screen reader: a click without a pointer
  b.addEventListener("click", (e) => {
    if (e.detail) return;
    press(key);
    setTimeout(() => release(key), 120);
  });
}

const shortcuts = {
  ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right", Enter: "ok", Backspace: "back",
  r: "red", g: "green", y: "yellow", b: "blue", "+": "volume_up", "-": "volume_down", m: "mute", p: "power", i: "source"
};
const keyOf = (e) => (/^\d$/.test(e.key) ? e.key : shortcuts[e.key.length === 1 ? e.key.toLowerCase() : e.key]);
/** Where a key means something else: fields, lists, and Enter on a button. */
const taken = (e) =>
  e.target.closest("input, select, textarea, [role=listbox], [role=log]") || (e.key === "Enter" && e.target.closest("button"));
document.addEventListener("keydown", (e) => {
  const key = keyOf(e);
  if (!key || e.ctrlKey || e.altKey || e.metaKey || taken(e)) return;
  e.preventDefault();
  if (!e.repeat || key.startsWith("volume")) press(key);
});
document.addEventListener("keyup", (e) => {
  const key = keyOf(e);
  if (key) release(key);
});
// keys that were down when the window lost the focus would stay down
window.addEventListener("blur", () => [...held].forEach(release));
