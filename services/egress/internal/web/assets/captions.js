// The captions page: an article for each utterance; finals solid, the volatile tail lighter.
import { Feed, settings, textOf } from "./feed.js";

const KEPT = 500; // articles on the page
const STALE_MS = 4000; // a preliminary text that nothing follows was noise
const $ = (id) => document.getElementById(id);
const wanted = settings(location, sessionStorage);
if (location.search.includes("token=")) {
  const q = new URLSearchParams(location.search);
  q.delete("token");
  history.replaceState(null, "", `${location.pathname}${q.size ? `?${q}` : ""}`);
}

const streams = new Map(); // id → {hue, shown, open: article or null, speaking: article or null}
let size = Number(localStorage.getItem("rtap-size")) || 1.25;

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function streamOf(id) {
  let s = streams.get(id);
  if (!s) {
    s = { id, hue: (streams.size * 137) % 360, shown: true, open: null, speaking: null };
    streams.set(id, s);
    chip(s);
  }
  return s;
}

/** A button that shows or hides a stream, and its transcript as files. */
function chip(s) {
  const box = element("div", "stream");
  const button = element("button", "chip", s.id);
  button.type = "button";
  button.ariaPressed = "true";
  button.title = `Show or hide ${s.id}`;
  button.style.setProperty("--hue", s.hue);
  button.onclick = () => {
    s.shown = !s.shown;
    button.ariaPressed = String(s.shown);
    for (const a of document.querySelectorAll(`.said[data-stream="${s.id}"]`)) a.hidden = !s.shown;
  };
  const files = element("span", "export");
  for (const kind of ["txt", "srt", "vtt", "json"]) {
    const a = element("a", "", kind);
    const url = new URL(`v1/transcripts/${s.id}.${kind}`, document.baseURI);
    if (feed.token) url.searchParams.set("token", feed.token);
    a.href = url.href;
    a.ariaLabel = `Transcript of ${s.id} as ${kind}`;
    files.append(a);
  }
  box.append(button, files);
  $("streams").append(box);
  $("streams").hidden = false;
}

function article(s, m) {
  const a = element("article", "said");
  a.dataset.stream = s.id;
  a.hidden = !s.shown;
  const head = element("header");
  const who = element("span", "who", s.id);
  who.style.setProperty("--hue", s.hue);
  const at = new Date(m.rtap.captured_at ?? Date.now());
  const time = element("time", "", at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }));
  time.dateTime = at.toISOString();
  head.append(who, time);
  const text = element("p");
  // What may still change is not read aloud.
  const now = element("span", "now");
  now.ariaHidden = "true";
  now.append(element("span", "committed"), element("span", "tail"));
  text.append(element("span", "final"), now);
  a.append(head, text);
  $("empty").hidden = true;
  return a;
}

/** The article of the utterance that m belongs to, among those that are final. */
function place(s, m) {
  if (s.open?.dataset.utterance !== m.rtap.utterance_id || m.rtap.late) {
    const a = article(s, m);
    a.dataset.utterance = m.rtap.utterance_id;
    $("log").append(a);
    s.open = m.rtap.late ? s.open : a;
    while ($("log").childElementCount > KEPT) $("log").firstElementChild.remove();
    return a;
  }
  return s.open;
}

/** Shows what is being said: after the finals of its utterance, or below all of them. */
function speak(s, m) {
  const goesOn = s.open?.dataset.utterance === m.rtap.utterance_id;
  if (!goesOn) s.speaking ??= $("speaking").appendChild(article(s, m));
  const now = (goesOn ? s.open : s.speaking).querySelector(".now");
  const { committed, tail } = textOf(m);
  now.querySelector(".committed").textContent = committed;
  now.querySelector(".tail").textContent = tail;
}

/** Takes away what was preliminary: the words stand as a final now, or were none. */
function settle(s) {
  clearTimeout(s.stale);
  s.speaking?.remove();
  s.speaking = null;
  for (const span of s.open?.querySelectorAll(".now span") ?? []) span.textContent = "";
}

function following(change) {
  const edge = document.documentElement;
  const atEnd = edge.scrollHeight - edge.scrollTop - edge.clientHeight < 80;
  change();
  if (atEnd) scrollTo({ top: edge.scrollHeight, behavior: "instant" });
  else $("latest").hidden = false;
}

const feed = new Feed({
  base: document.baseURI,
  streams: wanted.streams,
  token: wanted.token,
  on: {
    state(name) {
      $("state").textContent = { live: "live", connecting: "connecting", waiting: "connection lost, trying again", token: "a token is needed" }[name];
      $("state").dataset.state = name;
      if (name === "token") $("ask").showModal();
    },
    reset() {
      $("log").replaceChildren();
      $("speaking").replaceChildren();
      for (const s of streams.values()) s.open = s.speaking = null;
    },
    final(m) {
      following(() => {
        const s = streamOf(m.rtap.stream_id);
        settle(s);
        const a = place(s, m);
        const said = a.querySelector(".final");
        said.textContent = `${said.textContent} ${textOf(m).committed}`.trim();
        a.dataset.seq = m.rtap.seq;
        if (m.rtap.late) said.after(element("span", "mark", "late"));
        if (m.rtap.gap_ms) said.before(element("span", "mark", `${(m.rtap.gap_ms / 1000).toFixed(1)} s lost`), " ");
      });
    },
    utteranceEnd(m) {
      const s = streamOf(m.rtap.stream_id);
      if (s.open?.dataset.utterance === m.rtap.utterance_id) {
        following(() => (s.open.querySelector(".final").textContent = m.rtap.transcript));
        s.open = null;
      }
    },
    streamEnd(m) {
      following(() => {
        const s = streamOf(m.rtap.stream_id);
        settle(s);
        s.open = null;
        $("log").append(element("p", "end", `${s.id} has ended`));
      });
    },
    interim(m) {
      following(() => {
        const s = streamOf(m.rtap.stream_id);
        speak(s, m);
        clearTimeout(s.stale);
        s.stale = setTimeout(() => settle(s), STALE_MS);
      });
    },
  },
});

function resize(by) {
  size = Math.min(4, Math.max(0.8, size * by));
  document.documentElement.style.setProperty("--size", `${size}rem`);
  localStorage.setItem("rtap-size", String(size));
}
resize(1);
$("smaller").onclick = () => resize(1 / 1.15);
$("larger").onclick = () => resize(1.15);
$("latest").onclick = () => scrollTo({ top: document.documentElement.scrollHeight });
addEventListener("scroll", () => {
  const edge = document.documentElement;
  if (edge.scrollHeight - edge.scrollTop - edge.clientHeight < 80) $("latest").hidden = true;
});
$("ask").oncancel = (e) => e.preventDefault();
$("ask-form").onsubmit = () => {
  sessionStorage.setItem("rtap-token", $("ask-token").value);
  feed.setToken($("ask-token").value);
};
feed.start();
