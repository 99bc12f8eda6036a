"""Deepgram's Python SDK against /v1/listen: only its address is another."""

import threading
import time

from deepgram import DeepgramClient
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types import ListenV1Metadata, ListenV1Results, ListenV1SpeechStarted, ListenV1UtteranceEnd

from common import PORT, RATE, TOKEN, check, check_text, pieces

here = f"ws://127.0.0.1:{PORT}"
client = DeepgramClient(
    api_key=TOKEN, environment=DeepgramClientEnvironment(base=here, production=here, agent=here, agent_rest=here)
)
got = []
opened, closed = threading.Event(), threading.Event()
failed = []

with client.listen.v1.connect(
    model="nova-3", encoding="linear16", sample_rate=RATE, channels=1, interim_results=True, vad_events=True,
    smart_format=True, punctuate=True, utterance_end_ms=1000, endpointing=300, language="en-US",
) as socket:
    socket.on(EventType.OPEN, lambda _: opened.set())
    socket.on(EventType.MESSAGE, got.append)
    socket.on(EventType.ERROR, failed.append)
    socket.on(EventType.CLOSE, lambda _: closed.set())
    threading.Thread(target=socket.start_listening, daemon=True).start()
    for n, piece in enumerate(pieces()):
        socket.send_media(piece)
        if n == 250:  # five seconds
            socket.send_finalize()
        if n % 100 == 99:
            socket.send_keep_alive()
        time.sleep(0.01)
    socket.send_close_stream()
    check("Python SDK: the connection is closed", closed.wait(60))

check("Python SDK: no error", not failed, str(failed))
results = [m for m in got if isinstance(m, ListenV1Results)]
finals = [m for m in results if m.is_final]
check("Python SDK: interims", any(not m.is_final for m in results))
check("Python SDK: every message has a type of its own", all(type(m).__name__.startswith("ListenV1") for m in got), str({type(m) for m in got}))
check("Python SDK: SpeechStarted", any(isinstance(m, ListenV1SpeechStarted) and m.channel == [0, 1] for m in got))
check("Python SDK: UtteranceEnd", any(isinstance(m, ListenV1UtteranceEnd) and m.last_word_end > 0 for m in got))
check("Python SDK: Finalize is answered", any(m.from_finalize for m in finals))
last = got[-1]
check("Python SDK: Metadata comes last", isinstance(last, ListenV1Metadata) and round(last.duration, 3) == 11.0 and len(last.sha256) == 64, str(last))
check("Python SDK: one request id", {m.metadata.request_id for m in results} == {last.request_id})
named = [m for m in finals if m.channel.alternatives[0].transcript]
check("Python SDK: words have times", all(0 <= w.start <= w.end <= 11 for m in named for w in m.channel.alternatives[0].words))
check("Python SDK: the model is named", all(m.metadata.model_uuid and m.metadata.model_info.name for m in named))
check_text("Python SDK: text", " ".join(m.channel.alternatives[0].transcript for m in finals))
