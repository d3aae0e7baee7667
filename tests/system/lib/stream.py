"""A live stream through a forwarded port: numbered blocks to an echo and back, so that every lost, repeated or changed byte shows.

    stream.py serve PORT           echoes whatever comes
    stream.py send PORT FILE       writes a JSON object to FILE ten times a second; SIGTERM: sends no more, waits for the rest, writes the last one
"""
import json
import os
import selectors
import signal
import socket
import sys
import threading
import time

BLOCK = 1024


def serve(port):
    listener = socket.create_server(("127.0.0.1", port))

    def echo(s):
        try:
            while data := s.recv(65536):
                s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            s.close()
    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


def block(n):
    return b"%015d\n" % n * (BLOCK // 16)


def send(port, path):
    state = {"sent": 0, "received": 0, "wrong": 0, "over": ""}
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))

    def tell():
        with open(path + ".new", "w") as f:
            json.dump(state, f)
        os.rename(path + ".new", path)
    s = None
    for _ in range(200):
        try:
            s = socket.create_connection(("127.0.0.1", port), 5)
            break
        except OSError:
            time.sleep(0.05)
    if s is None:
        state["over"] = "no connection"
        tell()
        return
    s.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(s, selectors.EVENT_READ)
    pending, got, told, shut, next_block = b"", b"", 0.0, False, 0.0
    while True:
        now = time.monotonic()
        if now - told > 0.1:
            tell()
            told = now
        try:
            if not stopping and not pending and now >= next_block:
                pending = block(state["sent"])
                state["sent"] += 1
                next_block = now + 0.005
            if pending:
                pending = pending[s.send(pending):]
            elif stopping and not shut:
                s.shutdown(socket.SHUT_WR)
                shut = True
        except BlockingIOError:
            pass
        except OSError as e:
            state["over"] = str(e)
            break
        if selector.select(0.002):
            try:
                data = s.recv(65536)
            except OSError as e:
                state["over"] = str(e)
                break
            if not data:
                state["over"] = "end of stream"
                break
            got += data
            while len(got) >= BLOCK:
                state["wrong"] += got[:BLOCK] != block(state["received"])
                state["received"] += 1
                got = got[BLOCK:]
    state["rest"] = len(got)
    tell()


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    send(int(sys.argv[2]), sys.argv[3])
