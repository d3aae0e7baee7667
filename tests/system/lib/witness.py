"""A witness of logs (C2SP tlog-witness) over HTTP, by the reference of the test vectors: it keeps the newest head that it has cosigned and
signs another only with a proof that this one is contained in it."""
import base64
import http.server
import threading
import time

from .log_maker import NoteKey, tlog


class Witness:
    def __init__(self, name="witness.test"):
        self.key = NoteKey(name, 4)
        self.log_vkey = None
        self.size, self.root = 0, tlog.EMPTY
        self.asked, self.delay, self.broken = [], 0.0, False
        witness = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, kind, answer = witness.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path, body):
        self.asked.append(body)
        time.sleep(self.delay)
        if self.broken or path != "/add-checkpoint":
            return 500, "text/plain", b"out of order\n"
        head, _, note = body.decode().partition("\n\n")
        old, *proof = head.split("\n")
        old = int(old.removeprefix("old "))
        text, signatures = tlog.open_note(note.encode(), [self.log_vkey])
        if not signatures:
            return 403, "text/plain", b"not by the log\n"
        _, size, root, _ = tlog.parse_checkpoint(text)
        if old != self.size:
            return 409, "text/x.tlog.size", f"{self.size}\n".encode()
        hashes = [base64.b64decode(p, validate=True) for p in proof if p]
        consistent = not hashes if old == 0 else tlog.verify_consistency(old, size, self.root, root, hashes)
        if not consistent:
            return 422, "text/plain", b"the proof fails\n"
        self.size, self.root = size, root
        return 200, "text/plain", self.key.line(text, time.time()).encode()
