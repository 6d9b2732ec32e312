// One call from the carer's side, on the wire as the platform's own caller app makes it: wake the screen, a second's wait,
// a room, the request; after `accepted` a token and the room by its name. Unlike that app it asks and joins once, answers a
// late `declined` as an end, sends no request after hanging up, ignores replies of other residents and of other rooms, and
// waits until its `ended` has left before anything else happens.
import { localMedia } from "./media.js";

const wakeWait = 1000; // ms between waking the screen and the room, as the platform's app
const reasons = { busy: "User Busy", "no-camera": "No Camera Detected" };

export class Call {
  /** waking → room → calling → joining → in-call → over */
  state = "new";
  options;
  room;
  #platform;
  #on;
  #stop = new AbortController();
  #media;
  #off = new Set(); // kinds the carer has switched off, perhaps before there was a camera to switch

  /** `on` has `state(state)`, `over(reason, isProblem)`, `local(media)`, `track(track)`, `untrack(track)`, `notice(text)`. */
  constructor(platform, target, { audioOnly, autoAccept, acceptAfter }, on) {
    this.#platform = platform;
    this.#on = on;
    const initiator = platform.user;
    // key order and types as on the wire of the platform's app
    this.options = { audioOnly, initiator, target, roomName: `${initiator.username}-to-${target.username}`, autoAccept, acceptAfter };
  }

  get gone() {
    return this.state === "over";
  }

  #to(state) {
    this.state = state;
    this.#on.state(state);
  }

  async start() {
    try {
      this.#to("waking");
      await this.#platform.wake(this.options.target.set_top_box?.id);
      await new Promise((resolve) => setTimeout(resolve, wakeWait));
      if (this.gone) return;
      this.#to("room");
      this.options.roomSid = await this.#platform.createRoom(this.options.roomName);
      if (this.gone) return;
      if (!this.#platform.tell("requested", this.options)) throw new Error("Not connected to the platform");
      this.#to("calling");
    } catch (error) {
      this.#finish(error.message, true);
    }
  }

  /** A reply on the organisation's channel; it may be another resident's, or late. */
  reply(kind, data) {
    const from = data?.target?.id, sid = data?.roomSid;
    if (from !== undefined && from !== this.options.target.id) return;
    if (sid && this.options.roomSid && sid !== this.options.roomSid) return;
    const asked = ["calling", "joining", "in-call"].includes(this.state);
    if (!asked) return;
    if (kind === "accepted") {
      if (this.state === "calling") this.#join();
    } else if (kind === "declined" && this.state === "calling") {
      this.#finish(reasons[data?.declineReason] ?? "User Declined Call");
    } else {
      this.#finish("The resident ended the call");
    }
  }

  async #join() {
    this.#to("joining");
    try {
      const [media, token] = await Promise.all([localMedia(this.options.audioOnly), this.#platform.videoToken(this.options.roomName)]);
      this.#media = media;
      if (this.gone) return media.stop();
      for (const track of media.tracks) track.enabled = !this.#off.has(track.kind);
      this.#on.local(media);
      if (media.notice) this.#on.notice(media.notice);
      const room = await window.Twilio.Video.connect(token, {
        name: this.options.roomName,
        tracks: media.tracks,
        maxAudioBitrate: 16000,
        wsServer: this.#platform.rooms,
        insights: false
      });
      if (this.gone) return room.disconnect();
      this.room = room;
      for (const kind of this.#off) this.enable(kind, false);
      room.on("participantConnected", (p) => this.#meet(p));
      room.on("participantDisconnected", () => this.gone || this.#on.notice("The resident has left the room"));
      room.on("reconnecting", () => this.#on.notice("Connection lost, trying again …"));
      room.on("reconnected", () => this.#on.notice(""));
      room.on("disconnected", (_, error) => error && this.hangUp(`The room ended: ${error.message}`, true));
      room.participants.forEach((p) => this.#meet(p));
      window.addEventListener("pagehide", () => room.disconnect(), { signal: this.#stop.signal });
    } catch (error) {
      this.hangUp(error.message, true);
    }
  }

  #meet(participant) {
    this.#on.notice("");
    participant.on("trackSubscribed", (track) => this.#track(track));
    participant.on("trackUnsubscribed", (track) => this.#on.untrack(track));
    participant.on("trackDisabled", ({ kind }) => kind === "audio" && this.#on.notice("The resident's microphone is off"));
    participant.on("trackEnabled", () => this.#on.notice(""));
    participant.tracks.forEach((p) => p.isSubscribed && this.#track(p.track));
  }

  #track(track) {
    if (this.gone || track.kind === "data") return;
    this.#on.track(track);
    if (this.state === "joining") this.#to("in-call");
  }

  /** Sends or withholds the own sound or picture (`audio`, `video`). */
  enable(kind, on) {
    this.#off[on ? "delete" : "add"](kind);
    for (const { track } of this.room?.localParticipant[`${kind}Tracks`].values() ?? []) track.enable(on);
    for (const track of this.#media?.tracks ?? []) if (track.kind === kind) track.enabled = on;
  }

  /** The carer hangs up, or something here failed. */
  hangUp(reason = "Call ended", isProblem = false) {
    if (this.gone) return;
    // before the request nobody knows of this call: nothing to take back
    const known = ["calling", "joining", "in-call"].includes(this.state);
    if (known) this.#platform.tell("ended", this.options);
    this.#finish(reason, isProblem);
  }

  #finish(reason, isProblem = false) {
    if (this.gone) return;
    this.state = "over";
    this.#stop.abort();
    this.room?.disconnect();
    this.#media?.stop();
    this.#on.over(reason, isProblem);
  }
}
