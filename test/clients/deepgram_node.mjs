// Deepgram's JavaScript SDK against /v1/listen: only its address is another.
import { readFileSync } from "node:fs";
import { DeepgramClient } from "@deepgram/sdk";

const here = `ws://127.0.0.1:${process.env.RTAP_WS_PORT}`;
const file = readFileSync(process.env.RTAP_CLIP);
const clip = file.subarray(file.indexOf("data") + 8);
const check = (what, ok, detail = "") => {
  console.log(ok ? "ok  " : "FAIL", "JavaScript SDK:", what, detail);
  if (!ok) process.exit(1);
};
setTimeout(() => check("finishes within two minutes", false), 120_000).unref();

const client = new DeepgramClient({
  apiKey: process.env.RTAP_TOKEN,
  environment: { base: here, production: here, agent: here, agentRest: here },
});
const socket = await client.listen.v1.connect({
  model: "nova-3", encoding: "linear16", sample_rate: 16000, interim_results: "true", vad_events: "true",
  smart_format: "true", utterance_end_ms: "1000", reconnectAttempts: 0,
});
const got = [];
const closed = new Promise((resolve) => socket.on("close", resolve));
socket.on("message", (m) => got.push(m));
socket.on("error", (e) => check("no error", false, e.message));
socket.connect();
await socket.waitForOpen();
for (let at = 0; at < clip.length; at += 640) {
  socket.sendMedia(clip.subarray(at, at + 640));
  if (at === 640 * 250) socket.sendFinalize({ type: "Finalize" });
  if (at % 64000 === 0) socket.sendKeepAlive({ type: "KeepAlive" });
  await new Promise((resolve) => setTimeout(resolve, 10));
}
socket.sendCloseStream({ type: "CloseStream" });
const end = await closed;
check("the connection ends with 1000", end.code === 1000, String(end.code));

const of = (type) => got.filter((m) => m.type === type);
const finals = of("Results").filter((m) => m.is_final);
const last = got.at(-1);
check("interims", of("Results").some((m) => !m.is_final));
check("SpeechStarted", of("SpeechStarted").some((m) => m.channel.join() === "0,1" && typeof m.timestamp === "number"));
check("UtteranceEnd", of("UtteranceEnd").some((m) => m.last_word_end > 0));
check("Finalize is answered", finals.some((m) => m.from_finalize));
check("Metadata comes last", last.type === "Metadata" && last.duration === 11 && last.channels === 1 && last.sha256.length === 64, JSON.stringify(last));
check("one request id", of("Results").every((m) => m.metadata.request_id === last.request_id));

const words = (s) => s.toLowerCase().match(/[a-z0-9']+/g) ?? [];
const want = words("And so my fellow Americans ask not what your country can do for you ask what you can do for your country");
const text = finals.map((m) => m.channel.alternatives[0].transcript).join(" ");
const said = words(text);
let row = said.map((_, i) => i + 1);
row.unshift(0);
want.forEach((w, i) => {
  const next = [i + 1];
  said.forEach((g, j) => next.push(Math.min(row[j] + (w === g ? 0 : 1), row[j + 1] + 1, next[j] + 1)));
  row = next;
});
check("text", row.at(-1) <= want.length / 5, `${row.at(-1)} of ${want.length} words wrong: ${text}`);
process.exit(0);
