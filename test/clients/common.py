"""What the client tests share: the recording, the gateway's address, comparing texts."""

import os
import re
import sys
import wave

PORT = int(os.environ["RTAP_WS_PORT"])
ZMQ_PORT = int(os.environ["RTAP_ZMQ_PORT"])
TOKEN = os.environ["RTAP_TOKEN"]
TEXT = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"

with wave.open(os.environ["RTAP_CLIP"]) as w:
    RATE, AUDIO = w.getframerate(), w.readframes(w.getnframes())


def pieces(milliseconds=20):
    n = RATE * 2 * milliseconds // 1000
    return [AUDIO[i : i + n] for i in range(0, len(AUDIO), n)]


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


def errors(reference, text):
    """The least number of words to change, add or remove."""
    row = list(range(len(words(text)) + 1))
    for i, want in enumerate(words(reference)):
        diagonal, row[0] = row[0], i + 1
        for j, got in enumerate(words(text)):
            cost = diagonal + (want != got)
            diagonal, row[j + 1] = row[j + 1], min(cost, row[j] + 1, row[j + 1] + 1)
    return row[-1]


def check(what, ok, detail=""):
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail}")
    if not ok:
        sys.exit(1)


def check_text(what, text):
    wrong = errors(TEXT, text)
    check(what, wrong <= len(words(TEXT)) // 5, f"{wrong} of {len(words(TEXT))} words wrong: {text}")
