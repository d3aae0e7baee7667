"""Runs in a test host: takes alerts by HTTP as a site's receiver would.

Arguments: port, directory[, certificate, key]. What DIRECTORY/mode says is what it does: "take" (204), "huge" (200 and a megabyte), "hang" (no
answer until the mode changes, then the connection is closed), "redirect", or a status. Each call becomes one line of DIRECTORY/calls before it is answered:
{"answer", "id", "type", "headers", "body"}.
"""
import http.server
import json
import os
import ssl
import sys
import time

port, directory = int(sys.argv[1]), sys.argv[2]


def mode():
    with open(f"{directory}/mode") as f:
        return f.read().strip()


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = mode()
        line = json.dumps({"answer": answer, "id": self.headers["Idempotency-Key"], "type": self.headers["Content-Type"],
                           "path": self.path, "headers": dict(self.headers), "body": body})
        with open(f"{directory}/calls", "a") as f:
            f.write(line + "\n")
            f.flush()
            os.fsync(f.fileno())
        if answer == "hang":
            while mode() == "hang":
                time.sleep(0.05)
            self.close_connection = True
            return
        text = b"x" * 1_000_000 if answer == "huge" else b"" if answer == "take" else b"the receiver's own words"
        self.send_response({"take": 204, "huge": 200, "redirect": 307}.get(answer) or int(answer))
        if answer == "redirect":
            self.send_header("Location", "/elsewhere")
        if answer != "take":
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        try:
            self.wfile.write(text)
        except OSError:   # who calls need not read all of it
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", port), Receiver)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
