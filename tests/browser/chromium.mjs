// Headless Chromium as the tests and the demonstration's check use it. The npm packages lie in the cache (tests/tools/prepare npm).
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const cache = process.env.RESIDENTD_CACHE || join(homedir(), ".cache", "residentd");
export const npm = process.env.RESIDENTD_NPM || join(cache, "npm", "node_modules");

export class Missing extends Error {}

function playwright() {
  try {
    return createRequire(join(npm, "x"))("playwright-core");
  } catch (error) {
    throw new Missing(`playwright-core is not in ${npm} (${error.code}): run \`make tools\``);
  }
}

function executable() {
  const found = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => p && existsSync(p));
  if (!found) throw new Missing("no Chromium: run `make tools`, or name one in CHROMIUM");
  return found;
}

const args = [
  "--no-sandbox", // containers; the pages are ours
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  "--disable-features=WebRtcHideLocalIpsWithMdns" // plain host candidates: nothing resolves .local names in a container
];

/**
 * @param {{host_rules?: string, args?: string[], ignore_certificates?: boolean}} options `host_rules` is Chromium's
 *   --host-resolver-rules ("MAP name 127.0.0.1:port, …")
 */
export function launch(options = {}) {
  const more = [...(options.args || [])];
  if (options.host_rules) more.push(`--host-resolver-rules=${options.host_rules}`);
  if (options.ignore_certificates) more.push("--ignore-certificate-errors");
  return playwright().chromium.launch({
    executablePath: executable(),
    headless: true,
    // muted, the page would hear silence
    ignoreDefaultArgs: ["--mute-audio"],
    args: [...args, ...more],
    // the caller ends the browser: it must be able to log out first
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false
  });
}
