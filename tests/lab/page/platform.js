// The platform as its own caller app uses it: REST by token, two Pusher channels of the organisation.
const patience = 10_000; // ms a REST call may take

export class Refused extends Error {
  constructor(what, status) {
    super(`${what}: ${status}`);
    this.status = status;
  }
}

export class Platform {
  #config;
  #api;
  #token;
  #pusher;
  #calls;
  user;

  constructor(config) {
    this.#config = config;
    this.#api = config.api.replace(/\/(v2\/?)?$/, "");
  }

  get rooms() {
    return this.#config.rooms;
  }

  async #rest(method, path, body, what) {
    const headers = { "content-type": "application/json" };
    if (this.#token) headers.authorization = `Bearer ${this.#token}`;
    const answer = await fetch(this.#api + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(patience)
    });
    if (!answer.ok) throw new Refused(what, answer.status);
    return answer.json().catch(() => ({}));
  }

  async login(username, password) {
    const { token, user } = await this.#rest("POST", "/api-token-auth/", { username, password }, "Login refused");
    this.resume({ token, user });
    return user;
  }

  /** What a reloaded page needs to go on without a new login. */
  get session() {
    return { token: this.#token, user: this.user };
  }

  resume({ token, user }) {
    this.#token = token;
    this.user = user;
  }

  get customer() {
    return this.user.customer?.id ?? this.user.customer;
  }

  async residents() {
    const { results = [] } = await this.#rest("GET", `/v2/resident?customer=${this.customer}`, undefined, "No list of residents");
    return results;
  }

  wake(setTopBox) {
    return this.#rest("PATCH", `/v2/set-top-box/${setTopBox}/power_normal?force=true`, {}, "The screen cannot be woken");
  }

  async createRoom(name) {
    // The own caller app never asks for an audio-only room, and rooms keep their kind: the next video call has the same name.
    const body = { unique_name: name, enable_recording: false, audio_only: false };
    return (await this.#rest("POST", "/v2/conferencing-room", body, "No room")).sid;
  }

  async videoToken(room) {
    const body = { username: this.user.username, room_name: room };
    return (await this.#rest("POST", "/conferencing/video-token/", body, "No token for the room")).token;
  }

  /** Subscribes. `on` has `link(word)`, `resident(record)`, `reply(kind, data)`. */
  connect(on) {
    const { key, host, port, tls } = this.#config.pusher;
    this.#pusher = new window.Pusher(key, {
      cluster: "eu",
      wsHost: host,
      wsPort: port,
      wssPort: port,
      forceTLS: Boolean(tls),
      enabledTransports: ["ws", "wss"],
      enableStats: false,
      channelAuthorization: {
        transport: "ajax",
        endpoint: `${this.#api}/pusher/auth/`,
        headers: { AUTHORIZATION: `Bearer ${this.#token}` }
      }
    });
    this.#pusher.connection.bind("state_change", ({ current }) => on.link(current));
    const presence = this.#pusher.subscribe(`private-presence-${this.customer}`);
    presence.bind("resident_updated", (record) => on.resident(record));
    presence.bind_global((event, data) => event.startsWith("presence_update_") && on.resident(data));
    this.#calls = this.#pusher.subscribe(`private-call-${this.customer}`);
    this.#calls.bind("pusher:subscription_error", () => on.link("refused"));
    for (const kind of ["accepted", "declined", "ended"]) {
      this.#calls.bind(`client-conferencing-call-${kind}-${this.user.id}`, (data) => on.reply(kind, data));
    }
  }

  /** Sends `requested` or `ended` to a resident. False: not connected, nobody will hear it. */
  tell(kind, options) {
    return Boolean(this.#calls?.subscribed) && this.#calls.trigger(`client-conferencing-call-${kind}-${options.target.id}`, options);
  }

  disconnect() {
    this.#pusher?.disconnect();
    this.#pusher = this.#calls = undefined;
  }
}
