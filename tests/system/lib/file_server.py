"""A web server in this process that has the files it is given, and misbehaves where it is told to."""
import gzip
import http.server
import json
import pathlib
import ssl
import subprocess
import threading
import time
import zlib


class FileServer:
    """files: path -> bytes. special: path -> callable(handler) that answers itself. waits: it knows /v1/checkpoint?after=N."""

    def __init__(self, files=None, tls=None, waits=False):
        self.files, self.special, self.waits = dict(files or {}), {}, waits
        self.asked, self.sent = [], 0       # paths in order; bytes of bodies
        self.token = None
        self._change = threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None     # clients that hang up are what some tests are about
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        with self._change:
            self.waits = False
            self._change.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def put(self, files):
        """Replaces all files; who waits for a newer checkpoint is answered."""
        with self._change:
            self.files = dict(files)
            self._change.notify_all()

    def answer(self, handler):
        path = handler.path.split("?")[0].lstrip("/")
        self.asked.append(handler.path)
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            return self.send(handler, b"no token\n", 401)
        if path in self.special:
            return self.special[path](handler)
        if path == "v1/checkpoint" and self.waits:
            return self.send(handler, self._newer_than(int(handler.path.split("after=")[1])))
        if path not in self.files:
            return self.send(handler, b"<html>there is nothing here</html>", 404)
        return self.send(handler, self.files[path])

    def _newer_than(self, size):
        with self._change:
            self._change.wait_for(lambda: not self.waits or int(self.files["checkpoint"].split(b"\n")[1]) > size, timeout=50)
            return self.files["checkpoint"]

    def send(self, handler, body, status=200, **headers):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        self.sent += len(body)

    # --- ways to misbehave, each for one path
    def redirect(self, path, to):
        self.special[path] = lambda h: self.send(h, b"", 302, Location=to)

    def status(self, path, status):
        self.special[path] = lambda h: self.send(h, b"out of order\n", status)

    def bomb(self, path, encoding="gzip", unpacked=1 << 28):
        """A few hundred KiB that unpack to 256 MiB."""
        piece = b"\0" * (1 << 20)
        packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
        packed = b"".join(packer.compress(piece) for _ in range(unpacked >> 20)) + packer.flush()
        self.special[path] = lambda h: self.send(h, packed, Content_Encoding=encoding)

    def packed(self, path):
        """An honest server that compresses."""
        self.special[path] = lambda h: self.send(h, gzip.compress(self.files[path]), Content_Encoding="gzip")

    def endless(self, path):
        def answer(handler):
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            for _ in range(1 << 20):
                handler.wfile.write(chunk)
                self.sent += 65536
        self.special[path] = answer

    def endless_headers(self, path):
        def answer(handler):
            handler.send_response(200)
            handler.flush_headers()
            for n in range(1 << 20):
                handler.wfile.write(f"X-{n}: {'y' * 1000}\r\n".encode())
        self.special[path] = answer

    def drip(self, path, pause=0.5):
        def answer(handler):
            body = self.files[path]
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            for n in range(len(body)):
                handler.wfile.write(body[n:n + 1])
                handler.wfile.flush()
                time.sleep(pause)
        self.special[path] = answer

    def cut(self, path):
        """Says more than it sends."""
        def answer(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(self.files[path])))
            handler.end_headers()
            handler.wfile.write(self.files[path][:-5])
            handler.close_connection = True
        self.special[path] = answer


class Nginx:
    """The real one, serving a directory on a port of its own."""

    def __init__(self, directory, run_dir):
        self.run_dir = pathlib.Path(run_dir)
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        temp = "".join(f"{kind}_temp_path {self.run_dir}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.run_dir / "nginx.conf").write_text(
            f"user root; daemon off; pid {self.run_dir}/pid; error_log {self.run_dir}/error.log; events {{}}\n"
            f"http {{ access_log off; {temp}\n server {{ listen 127.0.0.1:{self.port}; root {directory}; default_type text/plain; }} }}\n")
        self._process = subprocess.Popen(["nginx", "-c", str(self.run_dir / "nginx.conf")], stderr=subprocess.DEVNULL)

    def close(self):
        self._process.terminate()
        self._process.wait(10)


def free_port() -> int:
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def certificate(directory, name="127.0.0.1") -> "tuple[str, str]":
    """A self-signed certificate and its key, for ca_file too."""
    directory = pathlib.Path(directory)
    kind = "IP" if name[0].isdigit() else "DNS"
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{name}", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return str(cert), str(key)


def as_json(path):
    return json.loads(pathlib.Path(path).read_text())
