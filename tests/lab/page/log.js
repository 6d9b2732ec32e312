// The strip at the bottom: every Pusher event, REST call and room frame as it passes the lab.
const by = (id) => document.getElementById(id);
const most = 600; // rows kept
const parts = { rest: "REST", pusher: "Pusher", room: "Room", tv: "TV", fault: "Fault" };
const arrows = { in: "→", out: "←" };
const list = by("log");
let paused = false, waiting = [];

function clock(ms) {
  const s = Math.floor(ms / 1000);
  return `${String(Math.floor(s / 60)).padStart(2, "0")}:${String(s % 60).padStart(2, "0")}.${String(ms % 1000).padStart(3, "0")}`;
}

function cell(name, text, title) {
  const e = document.createElement("span");
  e.className = name;
  e.textContent = text;
  if (title) e.title = title;
  return e;
}

function wanted(row) {
  const part = document.querySelector(`.filters [data-part="${row.dataset.part}"]`);
  const find = by("log-find").value.trim().toLowerCase();
  return (!part || part.checked) && (!find || row.textContent.toLowerCase().includes(find));
}

/** `{"ms":2,"status":200}` as `status 200 · ms 2`. */
function readable(detail) {
  if (detail === null || detail === undefined) return "";
  if (typeof detail !== "object") return String(detail);
  const rank = (name) => ["status", "type", "from", "to"].indexOf(name) >>> 0;
  const named = Object.entries(detail).sort(([a], [b]) => rank(a) - rank(b));
  return named.map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · ");
}

function row(entry) {
  const e = document.createElement("div");
  e.className = "row";
  e.dataset.part = entry.part;
  const more = readable(entry.detail);
  const direction = { in: "into the lab", out: "out of the lab" }[entry.dir];
  e.append(
    cell("time", clock(entry.ms)),
    cell("dir", arrows[entry.dir] ?? "", direction),
    cell("part", parts[entry.part] ?? entry.part),
    cell("who", entry.who ?? ""),
    cell("what", entry.what),
    cell("more", more)
  );
  e.classList.toggle("hidden", !wanted(e));
  return e;
}

function add(entries) {
  // whoever has scrolled up reads: the strip stays where it is
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 30;
  list.append(...entries.map(row));
  while (list.childElementCount > most) list.firstElementChild.remove();
  if (follows) list.scrollTop = list.scrollHeight;
}

export function connect() {
  let last = 0, started;
  const source = new EventSource("/lab/log");
  source.onmessage = ({ data }) => {
    const entry = JSON.parse(data);
    // after a lost connection the lab tells the latest entries again; a restarted lab counts from 1
    if (entry.seq <= last && entry.ms >= started) return;
    last = entry.seq;
    started = entry.ms;
    if (!paused) return add([entry]);
    waiting.push(entry);
    if (waiting.length > most) waiting.shift();
    by("log-pause").textContent = `Go on (${waiting.length})`;
  };
}

by("log-pause").onclick = () => {
  paused = !paused;
  by("log-pause").setAttribute("aria-pressed", paused);
  by("log-pause").textContent = paused ? "Go on" : "Pause";
  add(waiting.splice(0));
};
by("log-clear").onclick = () => list.replaceChildren();
by("log-size").onclick = () => {
  const large = document.body.classList.toggle("large-log");
  by("log-size").setAttribute("aria-expanded", large);
  by("log-size").textContent = large ? "Smaller" : "Larger";
  list.scrollTop = list.scrollHeight;
};
const refilter = () => {
  for (const e of list.children) e.classList.toggle("hidden", !wanted(e));
  list.scrollTop = list.scrollHeight;
};
by("log-find").oninput = refilter;
for (const tick of document.querySelectorAll(".filters input")) tick.onchange = refilter;
list.onclick = (e) => {
  if (!String(getSelection())) e.target.closest(".row")?.classList.toggle("open");
};
