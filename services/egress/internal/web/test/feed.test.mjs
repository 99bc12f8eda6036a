// node --test: the feed against a gateway that is played here.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Feed, settings, textOf } from "../assets/feed.js";

const feeds = [];
afterEach(() => feeds.splice(0).forEach((f) => f.stop()));

/** A gateway with a log of its own; sockets are opened and closed by the test. */
class Gateway {
  constructor() {
    this.log = [];
    this.id = "log";
    this.asked = [];
    this.sockets = [];
    this.token = "";
    const gateway = this;
    this.WebSocket = class {
      constructor(url) {
        this.url = new URL(url);
        gateway.sockets.push(this);
      }
      open() {
        this.onopen();
        return this;
      }
      send(m) {
        this.onmessage({ data: JSON.stringify(m) });
      }
      close() {
        this.onclose?.();
      }
    };
    this.fetch = async (url, { headers }) => {
      const u = new URL(url);
      gateway.asked.push(u.pathname + u.search);
      if (gateway.token && headers.Authorization !== `Bearer ${gateway.token}`) return { ok: false, status: 401 };
      await gateway.hold;
      return { ok: true, status: 200, json: async () => gateway.answer(u) };
    };
  }
  answer(u) {
    const q = u.searchParams;
    if (u.pathname === "/v1/streams") {
      const ids = [...new Set(this.log.map((m) => m.rtap.stream_id))];
      return { log_id: this.id, streams: ids.map((stream_id) => ({ stream_id })) };
    }
    const from = Number(q.get("from_seq") ?? 0), after = Number(q.get("after") ?? 0);
    const found = this.log.map((m, i) => [m, i + 1]).filter(([m, i]) => i > after && (!q.get("stream") || m.rtap.stream_id === q.get("stream")) && (m.rtap.seq ?? m.rtap.after_seq) >= from);
    const page = found.slice(0, 3); // small pages, so that there are several
    const next = found.length > 3 ? `/v1/transcripts?${new URLSearchParams({ ...Object.fromEntries(q), from_seq: "0", after: String(page.at(-1)[1]) })}` : "";
    return { log_id: this.id, transcripts: page.map(([m]) => m), next };
  }
  final(stream, seq, ordinal = seq) {
    const m = { type: "Results", is_final: true, channel: { alternatives: [{ transcript: `word${seq}` }] }, rtap: { stream_id: stream, seq, ordinal, committed_chars: 0 } };
    this.log.push(m);
    return m;
  }
  end(stream, after, ordinal) {
    const m = { type: "UtteranceEnd", rtap: { stream_id: stream, after_seq: after, ordinal, transcript: "whole" } };
    this.log.push(m);
    return m;
  }
}

const interim = (stream, ordinal) => ({ type: "Results", is_final: false, channel: { alternatives: [{ transcript: "per" }] }, rtap: { stream_id: stream, seq: 0, ordinal, committed_chars: 1 } });
const settled = async () => {
  for (let i = 0; i < 200; i++) await Promise.resolve();
};

function watch(gateway, options = {}) {
  const seen = [];
  const on = {
    final: (m) => seen.push(`${m.rtap.stream_id}${m.rtap.seq}`),
    utteranceEnd: (m) => seen.push(`${m.rtap.stream_id}/${m.rtap.after_seq}`),
    interim: (m) => seen.push(`${m.rtap.stream_id}~`),
    state: (s) => s !== "connecting" && seen.push(s),
    reset: () => seen.push("reset"),
  };
  const feed = new Feed({ base: "http://gateway:5802/", on, WebSocket: gateway.WebSocket, fetch: gateway.fetch, ...options });
  feeds.push(feed);
  return { seen, feed: feed.start() };
}

test("history first, then what came meanwhile, each once and in order", async () => {
  const g = new Gateway();
  for (let n = 1; n <= 5; n++) g.final("a", n);
  let go;
  g.hold = new Promise((resolve) => (go = resolve));
  const { seen } = watch(g);
  const s = g.sockets[0].open();
  s.send(g.log[4]); // in the log and live
  s.send(g.final("a", 6)); // live only after it was asked for
  s.send(interim("a", 7));
  assert.deepEqual(seen, []);
  go();
  await settled();
  assert.deepEqual(seen, ["a1", "a2", "a3", "a4", "a5", "a6", "live", "a~"]);
  s.send(interim("a", 6)); // of a segment that is final
  s.send(g.final("a", 7));
  s.send(g.end("a", 7, 8));
  assert.deepEqual(seen.slice(8), ["a7", "a/7"]);
});

test("a lost connection loses nothing, not even an end without a final", async () => {
  const g = new Gateway();
  g.final("a", 1);
  g.final("b", 1);
  const { seen, feed } = watch(g);
  const s = g.sockets[0].open();
  await settled();
  s.close();
  await settled();
  assert.equal(seen.at(-1), "waiting");
  g.end("a", 1, 2);
  for (let n = 2; n <= 9; n++) g.final("b", n);
  g.final("new", 1);
  clearTimeout(feed.timer);
  feed.connect();
  g.sockets[1].open();
  await settled();
  assert.deepEqual(seen.slice(seen.indexOf("waiting") + 1), ["a/1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "new1", "live"]);
  assert.ok(g.asked.some((p) => p.includes("stream=b") && p.includes("from_seq=1")));
});

test("a gap in what comes is filled before it goes on", async () => {
  const g = new Gateway();
  g.final("a", 1);
  const { seen } = watch(g);
  const s = g.sockets[0].open();
  await settled();
  g.final("a", 2);
  g.final("a", 3);
  s.send(g.final("a", 4));
  s.send(g.final("a", 5));
  await settled();
  assert.deepEqual(seen, ["a1", "live", "a2", "a3", "a4", "a5"]);
});

test("numbers removed by age are passed over", async () => {
  const g = new Gateway();
  g.final("a", 1);
  const { seen } = watch(g);
  const s = g.sockets[0].open();
  await settled();
  s.send(g.final("a", 9));
  await settled();
  s.send(g.final("a", 10));
  assert.deepEqual(seen, ["a1", "live", "a9", "a10"]);
});

test("another log starts anew", async () => {
  const g = new Gateway();
  g.final("a", 7);
  const { seen, feed } = watch(g);
  const s = g.sockets[0].open();
  await settled();
  s.close();
  await settled();
  g.log = [];
  g.id = "restored";
  g.final("a", 1);
  clearTimeout(feed.timer);
  feed.connect();
  g.sockets[1].open();
  await settled();
  assert.deepEqual(seen, ["a7", "live", "waiting", "reset", "a1", "live"]);
});

test("a missing token is asked for once and then shown everywhere", async () => {
  const g = new Gateway();
  g.token = "secret";
  const { seen, feed } = watch(g, { streams: ["a", "b"] });
  g.sockets[0].close(); // a refused handshake
  await settled();
  assert.deepEqual(seen, ["token"]);
  assert.equal(g.sockets.length, 1);
  g.final("a", 1);
  g.final("c", 1); // not wanted
  feed.setToken("secret");
  assert.equal(g.sockets[1].url.href, "ws://gateway:5802/stream?interim_results=true&streams=a%2Cb&token=secret");
  g.sockets[1].open();
  await settled();
  assert.deepEqual(seen, ["token", "a1", "live"]);
});

test("a gateway that cannot answer is tried again", async () => {
  const g = new Gateway();
  const { seen, feed } = watch(g);
  const working = g.fetch;
  feed.fetch = async () => {
    throw new Error("away");
  };
  g.sockets[0].open();
  await settled();
  assert.equal(seen.at(-1), "waiting");
  feed.fetch = working;
  clearTimeout(feed.timer);
  feed.connect();
  g.sockets[1].open();
  await settled();
  assert.equal(seen.at(-1), "live");
});

test("committed characters are counted as the server counts them", () => {
  const m = interim("a", 1);
  m.channel.alternatives[0].transcript = "né👍 tail";
  m.rtap.committed_chars = 3;
  assert.deepEqual(textOf(m), { committed: "né👍", tail: " tail" });
  assert.deepEqual(textOf({ ...m, is_final: true }), { committed: "né👍 tail", tail: "" });
});

test("settings keep to what is allowed", () => {
  const kept = new Map();
  const storage = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v) };
  const at = (search) => settings({ search }, storage);
  assert.deepEqual(at("?size=999&lines=0&fade=-1&align=up&position=top&color=red&background=12f&names=true&streams=a,b.c,d"), {
    token: "", streams: ["a", "d"], size: 200, lines: 1, fade: 0, align: "center", position: "top", color: "#ffffff", background: "#12f", names: true,
  });
  assert.equal(at("?background=none").background, "transparent");
  assert.equal(at("?token=t").token, "t");
  assert.equal(at("").token, "t");
});
