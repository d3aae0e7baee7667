"""hallpass-hub is what its OpenAPI document, its metrics, its TLS settings and the nginx example say."""
import json
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from .lib.hub import GET, await_metric, client_context, server_certificate
from .lib.hub_fixtures import fleet, hub, new_hub  # noqa: F401 (fixtures)


ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_nginx_before_it(new_hub, tmp_path):
    """The example in packaging/nginx serves what the hub serves, and goes on with the files when the hub is gone."""
    h = new_hub()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    example = (ROOT / "packaging/nginx/hallpass-hub.conf").read_text()
    readers = tmp_path / "readers.map"
    readers.write_text(f'"Bearer {h.TOKEN}" 1;\n')
    for old, new in (("  listen 443 ssl http2;\n", f"  listen 127.0.0.1:{port};\n"), ("  listen [::]:443 ssl http2;\n", ""),
                     ("/etc/nginx/hallpass-readers*.map", str(readers)), ("127.0.0.1:8480", f"127.0.0.1:{h.port}"),
                     ("/var/lib/hallpass-hub/log", str(h.log))):
        assert old in example
        example = example.replace(old, new)
    example = re.sub(r"  ssl_[^\n]*\n", "", example)
    (tmp_path / "nginx.conf").write_text(
        f"user root;\nworker_processes 1;\ndaemon off;\npid {tmp_path}/pid;\nerror_log stderr;\nevents {{ }}\nhttp {{\n"
        f"access_log off;\nclient_body_temp_path {tmp_path}/b;\nproxy_temp_path {tmp_path}/p;\nfastcgi_temp_path {tmp_path}/f;\n"
        f"uwsgi_temp_path {tmp_path}/u;\nscgi_temp_path {tmp_path}/s;\n{example}\n}}\n")
    nginx = subprocess.Popen(["nginx", "-c", tmp_path / "nginx.conf"], stderr=subprocess.PIPE)
    direct = h.port
    try:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert nginx.poll() is None and time.monotonic() < until, nginx.stderr.read()
        h.port = port
        r = h.fleet.request()
        assert h.post(r).status == 200
        digest = h.get("/policies").json[0]["sha256"]
        files = ["/checkpoint", "/epoch", "/policies", f"/policy/{digest}.toml", f"/policy/{digest}.sig", "/tile/0/000.p/3", "/tile/entries/000.p/3"]
        for path in files:
            answers = []
            for h.port in (port, direct):
                answers.append(h.get(path))
                assert h.get(path, token=None).status == 401
            ours, theirs = answers
            assert ours.status == theirs.status == 200 and ours.body == theirs.body, path
            for name in ("content-type", "cache-control"):
                assert ours.headers[name] == theirs.headers[name], (path, name)
        h.port = port
        for path in ("/../state/committed", "/state/committed", "/tile/../../state/committed", "/.x", "/tile/", "/"):
            assert h.get(path).status in (400, 404), path
        assert h.get("/v1/grants?state=pending").json["grants"][0]["id"] == r.id
        h.stop()
        assert h.get("/checkpoint").status == 200 and h.get("/v1/grants").status == 502
    finally:
        nginx.terminate()
        nginx.wait()


# --- TLS

@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return server_certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_and_client_certificates(new_hub, certificates):
    certificate, key = certificates["server"]
    h = new_hub(policy=False, tables=f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\nclient_ca = "{certificates["ca"][0]}"\n')
    h.tls = client_context(certificates)
    h.post_policy()
    assert h.post(h.fleet.request()).status == 200
    assert h.get("/v1/grants", token=None).status == 401 and h.get("/v1/grants").status == 200
    assert h.get("/v1/grants", token=None, context=client_context(certificates, "client")).status == 200
    stranger = client_context(certificates)
    stranger.load_cert_chain(*certificates["stranger"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        h.get("/healthz", token=None, context=stranger)
    old = client_context(certificates)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        h.get("/healthz", context=old)
    assert h.raw(GET + b"\r\n", timeout=5)[:5] != b"HTTP/"
    hold_tls_polls(h)
    size, got = h.size(), []
    poll = threading.Thread(target=lambda: got.append(h.get(f"/v1/checkpoint?after={size}").text.split("\n")[1]))
    poll.start()
    await_metric(h, "hallpass_hub_long_polls", 1)
    h.post(h.fleet.request())
    poll.join()
    assert got == [str(size + 1)]
    assert h.stop() == 0


def hold_tls_polls(hub, count=300):
    before, held, size = hub.rss(), [], hub.size()
    for _ in range(count):
        held.append(hub.connect())
        held[-1].request("GET", f"/v1/checkpoint?after={size}", headers={"Authorization": f"Bearer {hub.TOKEN}"})
    await_metric(hub, "hallpass_hub_long_polls", count)
    print(f"{count} long polls over TLS: {(hub.rss() - before) // count} bytes each")
    for connection in held:
        connection.close()
    await_metric(hub, "hallpass_hub_long_polls", 0)


# --- what it says of itself

class Shapes:
    """Does a value have the shape that the document gives it?"""

    def __init__(self, document):
        self.document = document

    def faults(self, schema, value, at="answer"):
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            return self.faults(self.document["components"]["schemas"][name], value, at)
        if "oneOf" in schema:
            tried = [self.faults(s, value, at) for s in schema["oneOf"]]
            return [] if sum(not t for t in tried) == 1 else [f"{at}: not one of {len(tried)} shapes: {tried}"]
        if value is None:
            return [] if schema.get("nullable") else [f"{at}: null"]
        types = {"object": dict, "array": list, "string": str, "integer": int}
        if not isinstance(value, types[schema["type"]]) or isinstance(value, bool):
            return [f"{at}: {value!r} is no {schema['type']}"]
        return getattr(self, schema["type"] + "_faults")(schema, value, at)

    def object_faults(self, schema, value, at):
        known = schema.get("properties", {})
        out = [f"{at}: {n} is missing" for n in schema.get("required", []) if n not in value]
        if schema.get("additionalProperties") is False:
            out += [f"{at}: {n} is not described" for n in value if n not in known]
        return out + [f for n, v in value.items() if n in known for f in self.faults(known[n], v, f"{at}.{n}")]

    def array_faults(self, schema, value, at):
        return [f for i, v in enumerate(value) for f in self.faults(schema["items"], v, f"{at}[{i}]")]

    @staticmethod
    def string_faults(schema, value, at):
        bad = ("enum" in schema and value not in schema["enum"]) or ("pattern" in schema and not re.search(schema["pattern"], value))
        return [f"{at}: {value!r}"] if bad else []

    @staticmethod
    def integer_faults(schema, value, at):
        return [f"{at}: {value}"] if value < schema.get("minimum", value) else []


def test_openapi_is_what_the_server_does(hub, fleet):
    document = hub.get("/openapi.json").json
    assert document["openapi"].startswith("3.0.") and Shapes(document).faults({"type": "integer"}, "x")
    r = fleet.request()
    hub.post(r, fleet.approve(r))
    digest = hub.get("/policies").json[-1]["sha256"]
    text = fleet.policy(version=fleet.version)
    other = text + "# other words, the same version\n"
    values = {"{sha256}": [digest, "0" * 64], "{level}/{index}": ["0/000" if hub.size() >= 256 else f"0/000.p/{hub.size()}", "0/999"],
              "{index}": [f"000.p/{hub.size()}" if hub.size() < 256 else "000", "999"]}
    bodies = {"/v1/statements": [r.line, "x", "", r.line + "\nx", fleet.approve(fleet.request()).line, fleet.request(at=0).line],
              "/v1/policies": ["{}", json.dumps({"toml": text, "sig": fleet.sign_policy(text)}), json.dumps({"toml": "x", "sig": "{}"}),
                               json.dumps({"toml": other, "sig": fleet.sign_policy(other)})]}
    asked, seen = 0, set()
    for path, methods in document["paths"].items():
        placeholder = next((p for p in values if p in path), None)
        paths = [path.replace(placeholder, v) for v in values[placeholder]] if placeholder else [path]
        if path == "/v1/grants":
            paths += ["/v1/grants?state=active,pending&subject=alice", "/v1/grants?state=nonsense"]
        if path == "/v1/checkpoint":
            paths += ["/v1/checkpoint?after=0", "/v1/checkpoint?after=x"]
        assert set(methods) <= {"get", "post"}
        for method, operation in methods.items():
            for p in paths:
                for body in bodies.get(path, [None]):
                    for token in (hub.TOKEN, None) if operation["security"] else (None,):
                        answer = hub.ask(method.upper(), p, body, token=token)
                        asked += 1
                        seen.add((path, answer.status))
                        assert str(answer.status) in operation["responses"], (p, answer.status, answer.text)
                        content = operation["responses"][str(answer.status)]["content"]
                        kind = answer.headers["content-type"].split(";")[0]
                        assert kind in content, (p, kind)
                        if kind == "application/json":
                            faults = Shapes(document).faults(content[kind]["schema"], answer.json)
                            assert not faults, (p, faults)
    assert asked > 40 and {s for _, s in seen} >= {200, 207, 400, 401, 404, 409, 422}


def test_metrics(hub, fleet):
    hub.post(fleet.request())
    hub.post("x\n")
    text = hub.get("/metrics").text
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \S+ .+|[a-z_]+(\{[a-z]+=\"[^\"]+\"\})? [0-9.e+-]+", line), line
    values = dict(re.findall(r"^([^#\s]\S*) (\S+)$", text, re.M))
    assert int(values["hallpass_hub_log_size"]) == hub.size()
    assert int(values["hallpass_hub_statements_taken_total"]) >= 1
    assert int(values['hallpass_hub_statements_refused_total{code="malformed"}']) >= 1
    assert int(values["hallpass_hub_durable_seconds_count"]) == int(values['hallpass_hub_durable_seconds_bucket{le="+Inf"}']) >= 1
    assert abs(int(values["hallpass_hub_cosigned_timestamp_seconds"]) - time.time()) < 70
    assert int(values["hallpass_hub_flushes_total"]) >= 6 * int(values["hallpass_hub_batches_total"]) >= 6
