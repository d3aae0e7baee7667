"""A mail server for tests: one thread a connection, STARTTLS, AUTH PLAIN and LOGIN, and whatever answers a test wants.

What it took is in `mails`: (recipients, text). `answers[recipient]` is what RCPT TO gets ("450 4.2.0 greylisted"); `after_data`, what the
message gets; `tried` counts RCPT TO by recipient. Nothing is taken of a client that leaves before it heard 250.
"""
import base64
import collections
import socket
import ssl
import threading


class SmtpServer:
    def __init__(self, certificate=None, key=None, user="", password="", port=0, starttls=True, implicit_tls=False):
        self.user, self.password, self.starttls, self.implicit_tls = user, password, starttls, implicit_tls
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
        self.mails, self.answers, self.tried, self.commands = [], {}, collections.Counter(), []
        self.after_data = "250 2.0.0 taken"
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def recipients(self):
        return [to for mail_to, _ in self.mails for to in mail_to]

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.implicit_tls:
                connection = self.context.wrap_socket(connection, server_side=True)
            Conversation(self, connection).run()
        except OSError:
            pass
        finally:
            self.open.discard(connection)
            connection.close()


class Conversation:
    def __init__(self, server, connection):
        self.server, self.connection = server, connection
        self.lines = connection.makefile("rb")
        self.encrypted = server.implicit_tls
        self.known = not server.user
        self.sender, self.to = None, []

    def say(self, line):
        self.connection.sendall(line.encode() + b"\r\n")

    def line(self):
        line = self.lines.readline(2000)
        if not line.endswith(b"\r\n"):
            raise OSError("gone")
        return line[:-2].decode()

    def run(self):
        self.say("220 test ESMTP")
        while True:
            line = self.line()
            verb = line.split(" ")[0].upper()
            self.server.commands.append((verb, self.encrypted))
            if verb == "QUIT":
                self.say("221 bye")
                return
            getattr(self, verb.lower(), self.unknown)(line)

    def unknown(self, _line):
        self.say("502 5.5.1 no")

    def ehlo(self, _line):
        features = ["STARTTLS"] if self.server.context and self.server.starttls and not self.encrypted else []
        features += ["AUTH PLAIN LOGIN"] if self.server.user and self.encrypted else []
        features.append("8BITMIME")
        self.say("\r\n".join(["250-test", *(f"250-{f}" for f in features[:-1]), f"250 {features[-1]}"]))

    def helo(self, _line):
        self.say("250 test")

    def starttls(self, _line):
        self.say("220 go on")
        self.server.open.discard(self.connection)
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.server.open.add(self.connection)
        self.lines = self.connection.makefile("rb")
        self.encrypted = True

    def auth(self, line):
        words = line.split(" ")
        if words[1].upper() == "PLAIN":
            text = words[2] if len(words) > 2 else (self.say("334 "), self.line())[1]
            _, user, password = base64.b64decode(text).decode().split("\0")
        else:
            self.say("334 VXNlcm5hbWU6")
            user = base64.b64decode(self.line()).decode()
            self.say("334 UGFzc3dvcmQ6")
            password = base64.b64decode(self.line()).decode()
        self.known = (user, password) == (self.server.user, self.server.password)
        self.say("235 2.7.0 known" if self.known else "535 5.7.8 unknown")

    def mail(self, line):
        self.sender, self.to = line, []
        self.say("250 2.1.0 ok" if self.known else "530 5.7.0 log in first")

    def rcpt(self, line):
        to = line[line.index("<") + 1:line.index(">")]
        self.server.tried[to] += 1
        answer = self.server.answers.get(to, "250 2.1.5 ok")
        if answer.startswith("250"):
            self.to.append(to)
        self.say(answer)

    def data(self, _line):
        if not self.to:
            self.say("503 5.5.1 nobody to send it to")
            return
        self.say("354 go on")
        text = []
        while (line := self.line()) != ".":
            text.append(line[1:] if line.startswith(".") else line)
        answer = self.server.after_data
        if answer.startswith("250"):
            self.server.mails.append((self.to, "\r\n".join(text) + "\r\n"))
        self.say(answer)
