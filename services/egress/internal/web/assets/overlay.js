// The overlay: the last lines only, on a transparent ground.
import { Feed, settings, textOf } from "./feed.js";

const KEPT = 4; // utterances; what does not fit into the lines is cut off above
const STALE_MS = 4000;
const $ = (id) => document.getElementById(id);
const wanted = settings(location);
const root = document.documentElement.style;
root.setProperty("--size", `${wanted.size}px`);
root.setProperty("--lines", wanted.lines);
root.setProperty("--color", wanted.color);
root.setProperty("--background", wanted.background);
root.setProperty("--align", wanted.align);
document.body.classList.toggle("top", wanted.position === "top");

let shown = []; // {stream, utterance, said, committed, tail}
let fading;

function draw() {
  clearTimeout(fading);
  $("captions").classList.remove("gone");
  if (wanted.fade) {
    fading = setTimeout(() => {
      $("captions").classList.add("gone");
      shown = shown.filter((u) => u.open);
    }, wanted.fade * 1000);
  }
  $("lines").replaceChildren(
    ...shown.map((u) => {
      const div = document.createElement("div");
      const line = document.createElement("span");
      line.className = "line";
      if (wanted.names) line.append(Object.assign(document.createElement("span"), { className: "name", textContent: `${u.stream}: ` }));
      line.append(`${u.said} ${u.committed}`.trim());
      if (u.tail) line.append(Object.assign(document.createElement("span"), { className: "tail", textContent: ` ${u.tail.trim()}` }));
      div.append(line);
      return div;
    }),
  );
}

function utterance(m) {
  const { stream_id: stream, utterance_id: id } = m.rtap;
  let u = shown.find((x) => x.stream === stream && x.id === id);
  if (!u) {
    u = { stream, id, said: "", committed: "", tail: "", open: true };
    shown.push(u);
    shown = shown.slice(-KEPT);
  }
  return u;
}

function clear(u) {
  clearTimeout(u.stale);
  u.committed = u.tail = "";
}

new Feed({
  base: document.baseURI,
  streams: wanted.streams,
  token: wanted.token,
  history: "0s", // what was said before the overlay opened is not shown
  on: {
    state(name) {
      $("problem").hidden = name !== "token";
      $("problem").textContent = "RTAP: this gateway wants a token; add ?token= to the address";
    },
    reset() {
      shown = [];
      draw();
    },
    interim(m) {
      const u = utterance(m);
      Object.assign(u, textOf(m));
      clearTimeout(u.stale);
      u.stale = setTimeout(() => {
        clear(u);
        shown = shown.filter((x) => x.said || x.committed);
        draw();
      }, STALE_MS);
      draw();
    },
    final(m) {
      const u = utterance(m);
      clear(u);
      u.said = `${u.said} ${textOf(m).committed}`.trim();
      draw();
    },
    utteranceEnd(m) {
      const u = shown.find((x) => x.stream === m.rtap.stream_id && x.id === m.rtap.utterance_id);
      if (!u) return;
      clear(u);
      u.said = m.rtap.transcript;
      u.open = false;
      draw();
    },
  },
}).start();
