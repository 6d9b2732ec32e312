// `make demo-check`: the demonstration, driven by a real browser without a display. One line a step with its time.
import { join } from "node:path";
import { logs, Problem, start, until as eventually } from "../demo/house.mjs";
import { launch, Missing } from "./chromium.mjs";

const began = Date.now();
let last = began, steps = 0;
function done(what, more = "") {
  const now = Date.now();
  console.log(`${((now - began) / 1000).toFixed(2).padStart(7)} s  +${((now - last) / 1000).toFixed(2).padEnd(5)} ok  ${what}${more && `  (${more})`}`);
  last = now;
  steps++;
}

let house, browser, page;

// ---- what can be asked ------------------------------------------------------------------------------------------------
const tv = async () => (await house.state()).tv;
const until = (what, ask, ...how) => eventually(what, () => {
  if (house.residentd.how) throw new Problem(`${what}: residentd ${house.residentd.how}`);
  return ask();
}, ...how);
const check = () => page.evaluate(() => window.check());
const call = async (state, atMost) => until(`the page says "${state}"`, async () => (await check()).call === state, atMost);
const press = (key) => page.click(`#remote-control [data-key="${key}"]`);
const found = { power: "standby", input: "tuner", volume: 18 };

async function putBack(words = "the television is put back") {
  let now;
  await until(`the television put back to ${JSON.stringify(found)}`, async () => {
    now = await tv();
    return Object.entries(found).every(([name, value]) => now[name] === value);
  }).catch((error) => {
    throw new Problem(`${error.message}; it is ${JSON.stringify({ power: now.power, input: now.input, volume: now.volume })}`);
  });
  done(words, `${found.power}, ${found.input}, volume ${found.volume}`);
}

async function ringing() {
  await until("the television woken on the box's input", async () => {
    const now = await tv();
    return now.power === "on" && now.input === "box";
  });
  done("the television wakes and shows the box");
  await until("the ringing seen and heard", async () => {
    const now = (await tv()).sound;
    return now.loudest_dbfs > -40 && now.age_ms < 1000 && (await check()).tv.pictures > 0;
  });
  done("it rings: a picture and a tone");
}

async function dial(button) {
  await page.click(button);
  await call("calling");
  done("the platform is asked, the page says Calling…");
}

/** Waits until each side sees the other move and hears it. */
async function both(video = true) {
  // what is heard and seen from here on, not the ringing before
  await check();
  let seen, frames;
  await until("moving pictures and sound at the carer's", async () => {
    seen = await check();
    frames ??= seen.remote.frames;
    const pictures = !video || (seen.remote.width > 0 && seen.remote.frames > frames + 10 && seen.remote.movement > 0.2);
    return pictures && seen.remote.loudness > 0.15;
  }, 25_000, 200).catch((error) => {
    throw new Problem(`${error.message}; it has ${JSON.stringify(seen.remote)}`);
  });
  const level = `loudness ${seen.remote.loudness.toFixed(2)}`;
  done("the carer sees and hears the resident", video ? `width ${seen.remote.width}, ${seen.remote.frames} pictures, ${level}` : level);
  let at;
  await until("moving pictures and sound at the television", async () => {
    const [set, shown] = [await tv(), (await check()).tv];
    at = { moving: set.picture.recent_changed, loudest: set.sound.loudest_dbfs, green: shown.colour[1] - shown.colour[0], page: shown };
    // the browser's camera is a green picture: it is the caller's that moves, not a dialog
    return (!video || (at.moving > 8 && at.green > 25 && shown.movement > 0.1)) && at.loudest > -50 && set.sound.age_ms < 1000;
  }, 25_000, 200).catch((error) => {
    throw new Problem(`${error.message}; it has ${JSON.stringify(at)}`);
  });
  done("the television shows and plays the carer", `${video ? `${at.moving} new pictures in 3 s, ` : ""}${at.loudest} dBFS`);
}

/** What the television plays is the carer, and nothing else: it falls silent when the carer mutes. */
async function mutes() {
  await page.click("#mute");
  let loudest;
  await until("silence at the television", async () => (loudest = (await tv()).sound.loudest_dbfs ?? -120) < -50, 10_000, 200).catch((error) => {
    throw new Problem(`${error.message}; it plays ${loudest} dBFS`);
  });
  await page.click("#mute");
  await until("sound at the television again", async () => (await tv()).sound.loudest_dbfs > -50, 10_000, 200);
  done("the carer mutes and is heard again");
}

async function says(text) {
  await call("idle");
  const status = await page.textContent("#status");
  if (!status.includes(text)) throw new Problem(`the page should say "${text}", and says "${status}"`);
  done(`the page says "${status}"`);
}

// ---- the calls --------------------------------------------------------------------------------------------------------
const calls = {
  async "a video call, answered with the remote control, ended by the carer"() {
    await dial("#video-call");
    await ringing();
    await press("ok");
    await call("in-call", 25_000);
    done("answered with OK, the page is in the call");
    await both();
    await mutes();
    await page.click("#hang-up");
    await says("Call ended");
    await putBack();
  },

  async "a video call that answers itself after a countdown, ended by the resident"() {
    await page.selectOption("#accept-after", "5");
    await page.check("#auto-accept");
    await dial("#video-call");
    const asked = Date.now();
    await ringing();
    await call("in-call", 30_000);
    const after = Date.now() - asked;
    if (after < 4800) throw new Problem(`it answered itself after ${after} ms, before the countdown of 5 s`);
    done("answered by itself");
    await both();
    await press("back");
    await says("The resident ended the call");
    await page.uncheck("#auto-accept");
    await page.selectOption("#accept-after", "0");
    await putBack();
  },

  async "a video call, declined with the remote control"() {
    await dial("#video-call");
    await ringing();
    await press("back");
    await says("User Declined Call");
    await putBack();
  },

  async "a video call that the carer takes back"() {
    await dial("#video-call");
    await ringing();
    await page.click("#hang-up");
    await says("Call ended");
    await page.waitForTimeout(1000);
    const now = await tv();
    if (now.power !== "on" || now.input !== "box") throw new Problem(`the notice of the missed call should stay, and the television is ${now.power} on ${now.input}`);
    done("the missed call stays on the screen");
    await press("ok");
    await putBack();
  },

  async "an audio call, ended by the carer"() {
    await dial("#audio-call");
    await ringing();
    await press("ok");
    await call("in-call", 25_000);
    done("answered with OK, the page is in the call");
    await both(false);
    await mutes();
    await page.click("#hang-up");
    await says("Call ended");
    await putBack();
  }
};

async function main() {
  house = await start({ log: process.env.LOG || "debug" });
  done("the lab and the daemon run, the box is online", house.url);
  browser = await launch();
  page = await (await browser.newContext({ viewport: { width: 1280, height: 720 } })).newPage();
  const odd = [];
  page.on("pageerror", (e) => odd.push(e.message));
  await page.goto(house.url);
  await page.waitForSelector("body[data-ready]");
  done("the page is open in Chromium", browser.version());
  await page.click("#login-button");
  await page.waitForSelector("#link.online");
  done("logged in, connected to the platform");
  await page.waitForSelector("#resident-1124[data-online=true]");
  await page.click("#resident-1124");
  done("the resident is online");
  await putBack("the television is as the resident left it");

  const only = process.env.ONLY;
  for (const [name, run] of Object.entries(calls)) {
    if (only && !name.includes(only)) continue;
    console.log(`\n${name}`);
    last = Date.now();
    await run();
  }
  console.log("");
  if (odd.length) throw new Problem(`errors in the page: ${odd.join("; ")}`);
  const how = await house.stop();
  if (how.residentd !== "ended with status 0") throw new Problem(`residentd ${how.residentd}`);
  if (how["residentd-lab"] !== "ended with status 0") throw new Problem(`the lab ${how["residentd-lab"]}`);
  done("the daemon and the lab ended in order");
}

let status = 0;
const interrupted = () => {
  status = 130;
  finish();
};
process.on("SIGINT", interrupted);
process.on("SIGTERM", interrupted);

async function finish() {
  await browser?.close().catch(() => {});
  await house?.stop().catch(() => {});
  process.exit(status);
}

try {
  await main();
  console.log(`demo-check: ${steps} steps passed in ${((Date.now() - began) / 1000).toFixed(1)} s`);
} catch (error) {
  if (!status) {
    status = 1;
    console.error(`\n${((Date.now() - began) / 1000).toFixed(2).padStart(7)} s  FAILED  ${error instanceof Problem || error instanceof Missing ? error.message : error.stack}`);
    const picture = join(logs, "failed.png");
    await page?.screenshot({ path: picture }).then(() => console.error(`The page then: ${picture}`), () => {});
    const words = await house?.residentd.lastWords(20);
    if (words) console.error(`The daemon's last words (${house.residentd.log}):\n${words}`);
  }
}
await finish();
