"""A tap on the way to a model: forwards every request, keeps both sides byte for byte, changes nothing.

It holds a request until `go` is set, so that whoever wants to watch the answer is there before it begins.
"""

import dataclasses
import http.client
import http.server
import json
import threading
import time

HELD_SECONDS = 20


@dataclasses.dataclass
class Exchange:
    """One request and its answer."""

    request: dict
    answer: bytes = b""
    ended: float = 0.0

    def events(self) -> list[dict]:
        """What the engine sent, event by event."""
        lines = self.answer.decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]

    def text(self) -> str:
        """The words of the answer."""
        deltas = (event["delta"] for event in self.events() if event["type"] == "content_block_delta")
        return "".join(delta.get("text", "") for delta in deltas)

    def usage(self) -> dict:
        """What the engine counted: the start's figures, overwritten by those of the end."""
        counted = {}
        for event in self.events():
            usage = event.get("usage") or event.get("message", {}).get("usage") or {}
            counted.update({name: count for name, count in usage.items() if isinstance(count, int)})
        return counted


class Tap:
    """Listens on loopback until `close`."""

    def __init__(self, engine_port: int):
        self.exchanges: list[Exchange] = []
        self.go = threading.Event()
        tap = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # noqa: N802 (the name that http.server calls)
                body = self.rfile.read(int(self.headers["content-length"]))
                exchange = Exchange(json.loads(body))
                tap.exchanges.append(exchange)
                tap.go.wait(HELD_SECONDS)
                self.forward(body, exchange)

            def forward(self, body: bytes, exchange: Exchange):
                upstream = http.client.HTTPConnection("127.0.0.1", engine_port, timeout=300)
                upstream.request("POST", self.path, body, {"content-type": "application/json"})
                answer = upstream.getresponse()
                self.send_response(answer.status)
                self.send_header("content-type", answer.headers["content-type"])
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                while chunk := answer.read1(65536):
                    exchange.answer += chunk
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                    self.wfile.flush()
                exchange.ended = time.monotonic()
                self.wfile.write(b"0\r\n\r\n")
                upstream.close()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        """Stops listening."""
        self.go.set()
        self.server.shutdown()
