// Camera and microphone of the carer's machine (or pictures and sound made here when it has none), and the instruments that
// tell whether something moves and sounds.

let context;
/** The one audio context; browsers want a click before it runs. */
export function audio() {
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume().catch(() => {});
  return context;
}

async function ask(constraints) {
  try {
    return (await navigator.mediaDevices.getUserMedia(constraints)).getTracks();
  } catch {
    return []; // none there, none allowed, or no secure origin: the drawn ones take their place
  }
}

/** Local tracks for a call: `{tracks, notice, stop}`. */
export async function localMedia(audioOnly) {
  const video = { width: 1280, height: 720, frameRate: 24 };
  let tracks = await ask(audioOnly ? { audio: true } : { audio: true, video });
  if (!tracks.length && !audioOnly) tracks = [...(await ask({ audio: true })), ...(await ask({ video }))];
  const made = [], missing = [];
  if (!audioOnly && !tracks.some((t) => t.kind === "video")) {
    missing.push("camera");
    made.push(drawnCamera());
  }
  if (!tracks.some((t) => t.kind === "audio")) {
    missing.push("microphone");
    made.push(hummedMicrophone());
  }
  tracks.push(...made.map((m) => m.track));
  return {
    tracks,
    notice: missing.length ? `No ${missing.join(" and no ")} here: a stand-in is sent` : "",
    stop() {
      for (const track of tracks) track.stop();
      for (const m of made) m.stop();
    }
  };
}

function drawnCamera() {
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
  const c = canvas.getContext("2d");
  const draw = () => {
    const t = performance.now() / 1000;
    c.fillStyle = "#27464d";
    c.fillRect(0, 0, 640, 360);
    c.fillStyle = "#e9c46a";
    c.beginPath();
    c.arc(320 + 200 * Math.sin(t), 180 + 60 * Math.cos(t * 1.7), 50, 0, 7);
    c.fill();
    c.fillStyle = "#fff";
    c.font = "26px sans-serif";
    c.fillText(`The caller · ${new Date().toLocaleTimeString()}`, 24, 334);
  };
  const timer = setInterval(draw, 50);
  draw();
  return { track: canvas.captureStream(20).getVideoTracks()[0], stop: () => clearInterval(timer) };
}

function hummedMicrophone() {
  const a = audio(), tone = a.createOscillator(), slow = a.createOscillator(), gain = a.createGain(), depth = a.createGain();
  const out = a.createMediaStreamDestination();
  tone.frequency.value = 440;
  slow.frequency.value = 0.5;
  gain.gain.value = 0.06;
  depth.gain.value = 0.05;
  slow.connect(depth).connect(gain.gain);
  tone.connect(gain).connect(out);
  tone.start();
  slow.start();
  const stop = () => {
    tone.stop();
    slow.stop();
  };
  return { track: out.stream.getAudioTracks()[0], stop };
}

/** Loudness from samples in -1..1: 0 is silence (below -60 dB), 1 is full scale. */
export function loudness(samples) {
  let sum = 0;
  for (const s of samples) sum += s * s;
  const db = 10 * Math.log10(sum / samples.length + 1e-12);
  return Math.min(1, Math.max(0, (db + 60) / 60));
}

/** Shows the loudness of a track on a `<meter>`; `peak` is the loudest since the last look. */
export class Ear {
  peak = 0;
  #meter;
  #timer;
  #source;

  constructor(meter) {
    this.#meter = meter;
  }

  listen(track) {
    this.stop();
    const a = audio(), analyser = a.createAnalyser();
    analyser.fftSize = 2048;
    this.#source = a.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const now = loudness(samples);
      this.peak = Math.max(this.peak, now);
      // falls slowly: a short sound is seen too
      this.#meter.value = Math.max(now, this.#meter.value - 0.06);
    }, 80);
  }

  stop() {
    clearInterval(this.#timer);
    this.#source?.disconnect();
    this.#source = undefined;
    this.#meter.value = 0;
  }
}

/** Looks at a video or a canvas: does it move, what colour is it. */
export class Eye {
  /** Mean difference (0..255) to the last look; the first look sees none. */
  movement = 0;
  /** Mean red, green and blue, 0..255. */
  colour = [0, 0, 0];
  #canvas = Object.assign(document.createElement("canvas"), { width: 48, height: 27 });
  #c = this.#canvas.getContext("2d", { willReadFrequently: true });
  #last;

  look(picture) {
    this.#c.drawImage(picture, 0, 0, 48, 27);
    const now = this.#c.getImageData(0, 0, 48, 27).data, before = this.#last ?? now, pixels = 48 * 27;
    this.#last = now;
    let sum = 0;
    const colour = [0, 0, 0];
    for (let i = 0; i < now.length; i++) {
      sum += Math.abs(now[i] - before[i]);
      if (i % 4 < 3) colour[i % 4] += now[i];
    }
    this.movement = sum / (pixels * 3);
    this.colour = colour.map((c) => Math.round(c / pixels));
    return this;
  }
}

/** The caller's ringing tone while it rings at the other end; returns what stops it. */
export function ringback() {
  const a = audio(), gain = a.createGain(), tones = [400, 450].map((f) => tone(a, f));
  gain.gain.value = 0;
  gain.connect(a.destination);
  for (const t of tones) {
    t.connect(gain);
    t.start();
  }
  let on = false;
  const beat = () => {
    on = !on;
    gain.gain.setTargetAtTime(on ? 0.03 : 0, a.currentTime, 0.02);
  };
  beat();
  const timer = setInterval(beat, 1200);
  return () => {
    clearInterval(timer);
    for (const t of tones) t.stop();
    gain.disconnect();
  };
}

function tone(a, frequency) {
  const t = a.createOscillator();
  t.frequency.value = frequency;
  return t;
}
