// `make demo`: starts the lab and the daemon, says where to look, and ends both with Ctrl-C.
import { logs, Problem, start } from "./house.mjs";

const { PORT, API_PORT, PUSHER_PORT, ROOMS_PORT, CAMERA, MICROPHONE, SPEAKER, SCREEN, LOG } = process.env;
const from = Date.now();
let house, stopping;

async function stop(status) {
  if (stopping) return;
  stopping = true;
  const how = (await house?.stop()) ?? {};
  const odd = Object.entries(how).filter(([, words]) => words !== "ended with status 0");
  for (const [name, words] of odd) console.log(`${name} ${words}`);
  console.log("Ended.");
  process.exit(status);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    console.log(" Ending …");
    stop(0);
  });
}

try {
  house = await start({
    page: PORT, api: API_PORT, pusher: PUSHER_PORT, rooms: ROOMS_PORT, camera: CAMERA, microphone: MICROPHONE, speaker: SPEAKER, screen: SCREEN, log: LOG
  });
  if (stopping) await house.stop();
  const simulated = (value, name) => (!value || value === "test" ? `simulated ${name}` : `${name} ${value}`);
  console.log(`Ready after ${((Date.now() - from) / 1000).toFixed(1)} s, with ${simulated(CAMERA, "camera")} and ${simulated(MICROPHONE, "microphone")}.

    ${house.url}

Open it in a browser, log in, call Dora Demo, and answer with the remote control beside the television.
Logs: ${logs}. Ctrl-C ends it.`);
  for (const program of [house.lab, house.residentd]) {
    program.ended.then(async (how) => {
      if (stopping) return;
      console.error(`\n${program.name} ${how}:\n${await program.lastWords()}`);
      stop(1);
    });
  }
} catch (error) {
  if (stopping) process.exit(0);
  console.error(error instanceof Problem ? error.message : error);
  process.exit(1);
}
