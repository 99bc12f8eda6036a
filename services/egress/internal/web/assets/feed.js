// The transcript feed: one WebSocket for what comes, the HTTP API for what was missed.
// Finals are given in order and once, whatever the connection does.

const RETRY_MS = [500, 1000, 2000, 5000, 10000];
// Finals of the last while are shown when a page opens.
const HISTORY = "10m";

/**
 * A feed calls its handlers; those that are missing are passed over.
 *   final(m), utteranceEnd(m), streamEnd(m), interim(m): messages as they came
 *   state(name): connecting, live, waiting (for the next attempt) or token (one is needed)
 *   reset(): another transcript log; everything shown so far belongs to an older one
 */
export class Feed {
  constructor({ base, streams = [], token = "", history = HISTORY, on = {}, WebSocket = globalThis.WebSocket, fetch = globalThis.fetch.bind(globalThis) }) {
    Object.assign(this, { base: new URL(base), streams, token, history, on, WebSocket, fetch });
    this.logID = "";
    this.known = new Map(); // stream → {seq, ordinal}: the last final, the highest ordinal settled
    this.attempt = 0;
    this.pending = null; // what came while what was missed is being read
  }

  start() {
    this.stopped = false;
    this.connect();
    return this;
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  setToken(token) {
    this.token = token;
    this.attempt = 0;
    clearTimeout(this.timer);
    this.connect();
  }

  say(name, ...args) {
    this.on[name]?.(...args);
  }

  connect() {
    this.say("state", "connecting");
    const url = new URL("stream", this.base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("interim_results", "true");
    if (this.streams.length) url.searchParams.set("streams", this.streams.join(","));
    if (this.token) url.searchParams.set("token", this.token);
    const socket = (this.socket = new this.WebSocket(url.href));
    this.pending = [];
    socket.onopen = () => this.catchUp(socket);
    socket.onmessage = (e) => {
      if (socket !== this.socket) return;
      const m = JSON.parse(e.data);
      if (this.pending) this.pending.push(m);
      else this.take(m, socket);
    };
    socket.onclose = () => socket === this.socket && this.again();
  }

  async again() {
    if (this.stopped) return;
    this.socket = null;
    // A refused handshake has no status; the API tells whether the token is missing.
    try {
      if ((await this.get("v1/streams")).status === 401) return this.say("state", "token");
    } catch {
      // the gateway is away; so the next attempt tells
    }
    if (this.stopped || this.socket) return;
    this.say("state", "waiting");
    const wait = RETRY_MS[Math.min(this.attempt++, RETRY_MS.length - 1)];
    this.timer = setTimeout(() => this.connect(), wait * (0.75 + Math.random() / 2));
  }

  get(path) {
    return this.fetch(new URL(path, this.base).href, { headers: this.token ? { Authorization: `Bearer ${this.token}` } : {} });
  }

  async json(path) {
    const res = await this.get(path);
    if (!res.ok) throw new Error(`${path}: ${res.status}`);
    return res.json();
  }

  wants(stream) {
    return !this.streams.length || this.streams.includes(stream);
  }

  /** Reads what is missing, then what has come meanwhile. */
  async catchUp(socket) {
    try {
      const { log_id, streams } = await this.json("v1/streams");
      if (this.logID && this.logID !== log_id) {
        this.known.clear();
        this.say("reset");
      }
      const first = this.logID !== log_id;
      this.logID = log_id;
      if (first) await this.read(`v1/transcripts?markers=true&limit=1000&since=${encodeURIComponent(this.history)}`);
      for (const { stream_id } of first ? [] : streams) {
        // From the last one on, since its marker may have come later.
        const from = this.known.get(stream_id)?.seq ?? 1;
        if (this.wants(stream_id)) await this.read(`v1/transcripts?markers=true&limit=1000&stream=${stream_id}&from_seq=${from}`);
      }
    } catch {
      socket.close(); // tried again as a whole
      return;
    }
    if (socket !== this.socket) return;
    this.attempt = 0;
    this.say("state", "live");
    this.drain(socket);
  }

  async read(path) {
    for (let next = path; next; ) {
      const page = await this.json(next);
      for (const m of page.transcripts) if (this.wants(m.rtap.stream_id)) this.settle(m);
      next = page.next;
    }
  }

  drain(socket) {
    const came = this.pending ?? [];
    this.pending = null;
    for (let i = 0; i < came.length; i++) {
      this.take(came[i], socket);
      if (this.pending) {
        this.pending.push(...came.slice(i + 1)); // a gap is being filled
        return;
      }
    }
  }

  /** Takes a live message; a final that is not the next one waits until those before it are read. */
  take(m, socket) {
    const { stream_id: stream, seq } = m.rtap;
    const last = this.known.get(stream)?.seq ?? 0;
    if (m.type !== "Results" || !m.is_final || !last || seq <= last + 1) return this.settle(m);
    this.pending = [];
    this.read(`v1/transcripts?markers=true&limit=1000&stream=${stream}&from_seq=${last}`)
      .then(() => {
        this.settle(m); // those before it may have been removed by age
        if (socket === this.socket) this.drain(socket);
      })
      .catch(() => socket.close());
  }

  /** Hands a message on unless it is known. */
  settle(m) {
    const { stream_id: stream, seq = 0, ordinal = 0 } = m.rtap;
    const at = this.known.get(stream) ?? { seq: 0, ordinal: 0 };
    if (m.type === "Results" && !m.is_final) {
      if (ordinal > at.ordinal) this.say("interim", m);
      return;
    }
    if (m.type === "Results" ? seq <= at.seq : ordinal <= at.ordinal) return;
    this.known.set(stream, { seq: Math.max(at.seq, seq), ordinal: Math.max(at.ordinal, ordinal) });
    this.say({ Results: "final", UtteranceEnd: "utteranceEnd", StreamEnd: "streamEnd" }[m.type] ?? "other", m);
  }
}

/** The transcript of a message and how many of its characters are settled. */
export function textOf(m) {
  const text = m.channel?.alternatives?.[0]?.transcript ?? "";
  const letters = [...text]; // by characters, as committed_chars counts them
  const n = m.is_final ? letters.length : Math.min(m.rtap.committed_chars, letters.length);
  return { committed: letters.slice(0, n).join(""), tail: letters.slice(n).join("") };
}

/** What the page's address asks for; the token is taken out of it. */
export function settings(location, storage) {
  const q = new URLSearchParams(location.search);
  let token = q.get("token") ?? "";
  try {
    if (token) storage?.setItem("rtap-token", token);
    else token = storage?.getItem("rtap-token") ?? "";
  } catch {
    // no storage: the token lives as long as the page
  }
  const number = (name, least, most, otherwise) => {
    const n = Number.parseInt(q.get(name) ?? "", 10);
    return Number.isNaN(n) ? otherwise : Math.min(most, Math.max(least, n));
  };
  const choice = (name, ...options) => (options.includes(q.get(name)) ? q.get(name) : options[0]);
  const color = (name, otherwise) => {
    const v = q.get(name) ?? "";
    if (v === "none") return "transparent";
    return /^#?([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$/i.test(v) ? `#${v.replace("#", "")}` : otherwise;
  };
  return {
    token,
    streams: (q.get("streams") ?? "").split(",").filter((s) => /^[A-Za-z0-9_-]{1,64}$/.test(s)),
    size: number("size", 8, 200, 42),
    lines: number("lines", 1, 10, 2),
    fade: number("fade", 0, 600, 8),
    align: choice("align", "center", "left", "right"),
    position: choice("position", "bottom", "top"),
    color: color("color", "#ffffff"),
    background: color("background", "#000000b3"),
    names: q.get("names") === "true",
  };
}
