"""Clients without an SDK: websockets as Deepgram's starter kit uses it, /stream, and pyzmq."""

import asyncio
import json

import websockets
import zmq

from common import PORT, RATE, TOKEN, ZMQ_PORT, check, check_text, pieces

LISTEN = f"ws://127.0.0.1:{PORT}/v1/listen?encoding=linear16&sample_rate={RATE}&channels=1"


async def starter_kit():
    """Takes every message for a transcript, and ends, as the starter kit does, with the one that has a creation date."""
    texts = []
    async with websockets.connect(LISTEN, additional_headers={"Authorization": f"Token {TOKEN}"}) as ws:
        check("websockets: request id", len(ws.response.headers["dg-request-id"]) == 36)
        for piece in pieces(250):
            await ws.send(piece)
        await ws.send(json.dumps({"type": "CloseStream"}))
        async for message in ws:
            m = json.loads(message)
            if m.get("created"):
                check("websockets: the whole duration", m["duration"] == 11)
                break
            text = m["channel"]["alternatives"][0]["transcript"]
            if m["is_final"]:
                texts.append(text)
    check_text("websockets: text", " ".join(texts))


async def feeds():
    """What one client says, /stream and ZeroMQ carry too."""
    feed = zmq.Context().socket(zmq.SUB)
    feed.connect(f"tcp://127.0.0.1:{ZMQ_PORT}")
    feed.subscribe(b"transcript.desk")
    stream = f"ws://127.0.0.1:{PORT}/stream?streams=desk&vad_events=true"
    seen = []
    async with websockets.connect(stream, subprotocols=["token", TOKEN]) as watcher:
        async with websockets.connect(LISTEN + "&stream=desk", subprotocols=["token", TOKEN]) as ws:
            check("subprotocol: token", ws.subprotocol == "token")
            for piece in pieces():
                await ws.send(piece)
            await ws.send(b"")  # the old way to close
            finals = [m for m in map(json.loads, [m async for m in ws]) if m.get("is_final")]
        async for message in watcher:
            seen.append(json.loads(message))
            if seen[-1]["type"] == "StreamEnd":
                break
    texts = [m["channel"]["alternatives"][0]["transcript"] for m in finals]
    same = [m["channel"]["alternatives"][0]["transcript"] for m in seen if m.get("is_final")]
    check("/stream: the same finals", same == texts and texts)
    check("/stream: SpeechStarted", any(m["type"] == "SpeechStarted" and m["rtap"]["stream_id"] == "desk" for m in seen))
    on_zmq = []
    while feed.poll(5000):
        _, message, _ = feed.recv_multipart()
        m = json.loads(message)
        if m["type"] == "StreamEnd":
            break
        if m["type"] == "Results":
            on_zmq.append(m["channel"]["alternatives"][0]["transcript"])
    check("ZeroMQ: the same finals", on_zmq == texts, str(on_zmq))


async def refusals():
    for what, url, code in [
        ("no encoding", LISTEN.replace("encoding=linear16&", ""), 400),
        ("opus", LISTEN.replace("linear16", "opus"), 400),
    ]:
        try:
            await websockets.connect(url, additional_headers={"Authorization": f"Bearer {TOKEN}"})
            check(what, False)
        except websockets.exceptions.InvalidStatus as e:
            check(f"refused: {what}", e.response.status_code == code, e.response.headers["dg-error"])
    try:
        await websockets.connect(LISTEN)
        check("no token", False)
    except websockets.exceptions.InvalidStatus as e:
        check("refused: no token", e.response.status_code == 401)


asyncio.run(starter_kit())
asyncio.run(feeds())
asyncio.run(refusals())
