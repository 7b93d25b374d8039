"""A model API that plays a script, for tests of real clients: Anthropic Messages, OpenAI Chat Completions and OpenAI
Responses, streamed and not. It answers a question with a use of the tool whose name ends in `lookup`, and that tool's
result with a sentence; without such a tool it says so. Every request is written to a file, a line of JSON each.

    python3 upstream.py FILE     prints its port, and serves until its standard input ends
"""

import http.server
import json
import pathlib
import re
import sys
import threading

ARGUMENTS = {"number": "7"}
ANSWER = "Invoice 7 is 120 EUR."
NOTHING = "There is nothing to look up."
# What an answer takes: of tokens that go in, that were read from a cache, that come out.
TAKES = (1200, 200, 50)


def wanted(body: dict, tool: str) -> dict:
    """A tool's arguments. Claude Code looks tools up before it offers them."""
    return ARGUMENTS if tool.endswith("lookup") else {"query": f"select:{deferred(body)}"}


def event(data: object, name: str | None = None) -> bytes:
    """A server-sent event."""
    head = f"event: {name}\n" if name else ""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"{head}data: {text}\n\n".encode()


def halves(text: str) -> list[str]:
    """A text in two pieces, so that there is something to put together."""
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def deferred(body: dict) -> str | None:
    """A tool that is named and not offered yet."""
    found = re.search(r"mcp__\w+?__lookup", json.dumps([body.get("messages"), body.get("input")]))
    return found and found[0]


class Messages:
    """Anthropic Messages."""

    @staticmethod
    def tools(body: dict) -> list[str]:
        return [tool["name"] for tool in body.get("tools") or []]

    @staticmethod
    def is_told(body: dict) -> bool:
        """Whether the last use was answered, and was of the tool that is wanted."""
        blocks = [block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]]
        uses = [block for block in blocks if block["type"] == "tool_use"]
        answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        last = body["messages"][-1]
        says = isinstance(last["content"], str) or any(block["type"] == "text" for block in last["content"])
        is_new_question = last["role"] == "user" and says and not any(
            block["type"] == "tool_result" for block in last["content"] if isinstance(block, dict)
        )
        return bool(uses) and uses[-1]["name"].endswith("lookup") and uses[-1]["id"] in answered and not is_new_question

    @staticmethod
    def usage() -> dict:
        total, cached, out = TAKES
        return {"input_tokens": total - cached, "cache_read_input_tokens": cached, "output_tokens": out}

    def message(self, body: dict, block: dict) -> dict:
        stop = "tool_use" if block["type"] == "tool_use" else "end_turn"
        return {
            "id": "msg_upstream", "type": "message", "role": "assistant", "model": body["model"], "content": [block],
            "stop_reason": stop, "stop_sequence": None, "usage": self.usage(),
        }

    def use(self, body: dict, tool: str) -> dict:
        number = len(body["messages"])
        return self.message(body, {"type": "tool_use", "id": f"toolu_up{number}", "name": tool, "input": wanted(body, tool)})

    def text(self, body: dict, text: str) -> dict:
        return self.message(body, {"type": "text", "text": text})

    def stream(self, body: dict, message: dict):
        block = message["content"][0]
        begun = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
        is_use = block["type"] == "tool_use"
        empty = {**block, "input": {}} if is_use else {"type": "text", "text": ""}
        yield "message_start", {"message": begun}
        yield "content_block_start", {"index": 0, "content_block": empty}
        yield "ping", {}
        for piece in halves(json.dumps(block["input"]) if is_use else block["text"]):
            delta = {"type": "input_json_delta", "partial_json": piece} if is_use else {"type": "text_delta", "text": piece}
            yield "content_block_delta", {"index": 0, "delta": delta}
        yield "content_block_stop", {"index": 0}
        stop = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        yield "message_delta", {"delta": stop, "usage": message["usage"]}
        yield "message_stop", {}

    def events(self, body: dict, message: dict):
        for kind, data in self.stream(body, message):
            yield event({"type": kind, **data}, kind)


class Chat:
    """OpenAI Chat Completions."""

    @staticmethod
    def tools(body: dict) -> list[str]:
        return [tool["function"]["name"] for tool in body.get("tools") or []]

    @staticmethod
    def is_told(body: dict) -> bool:
        calls = [call["function"]["name"] for message in body["messages"] for call in message.get("tool_calls") or []]
        last = [message["role"] for message in body["messages"] if message["role"] != "user"][-1]
        return last == "tool" and calls[-1].endswith("lookup")

    @staticmethod
    def usage() -> dict:
        total, cached, out = TAKES
        details = {"cached_tokens": cached}
        return {
            "prompt_tokens": total, "completion_tokens": out, "total_tokens": total + out,
            "prompt_tokens_details": details,
        }

    def message(self, body: dict, message: dict, finish: str) -> dict:
        return {
            "id": "chatcmpl-upstream", "object": "chat.completion", "created": 1795334400, "model": body["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
            "usage": self.usage(),
        }

    def use(self, body: dict, tool: str) -> dict:
        function = {"name": tool, "arguments": json.dumps(wanted(body, tool))}
        call = {"id": f"call_up{len(body['messages'])}", "type": "function", "function": function}
        return self.message(body, {"content": None, "tool_calls": [call]}, "tool_calls")

    def text(self, body: dict, text: str) -> dict:
        return self.message(body, {"content": text}, "stop")

    def events(self, body: dict, whole: dict):
        message = whole["choices"][0]["message"]

        def chunk(delta: dict, finish: str | None = None) -> bytes:
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            return event({**whole, "object": "chat.completion.chunk", "choices": choices, "usage": None})

        yield chunk({"role": "assistant", "content": ""})
        for call in message.get("tool_calls", []):
            function = call["function"]
            yield chunk({"tool_calls": [{"index": 0, **call, "function": {**function, "arguments": ""}}]})
            for piece in halves(function["arguments"]):
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        for piece in halves(message["content"] or ""):
            yield chunk({"content": piece})
        yield chunk({}, whole["choices"][0]["finish_reason"])
        if (body.get("stream_options") or {}).get("include_usage"):
            yield event({**whole, "object": "chat.completion.chunk", "choices": []})
        yield event("[DONE]")


class Responses:
    """OpenAI Responses."""

    @staticmethod
    def tools(body: dict) -> list[str]:
        return [tool["name"] for tool in body.get("tools") or [] if "name" in tool]

    @staticmethod
    def is_told(body: dict) -> bool:
        given = [item for item in body["input"] if isinstance(item, dict) and item.get("role") != "user"]
        calls = [item["name"] for item in given if item["type"] == "function_call"]
        return bool(calls) and given[-1]["type"] == "function_call_output" and calls[-1].endswith("lookup")

    @staticmethod
    def response(body: dict, item: dict) -> dict:
        total, cached, out = TAKES
        usage = {
            "input_tokens": total, "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": out, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": total + out,
        }
        return {
            "id": "resp_upstream", "object": "response", "created_at": 1795334400, "status": "completed",
            "model": body["model"], "output": [item], "usage": usage, "error": None, "incomplete_details": None,
            "instructions": body.get("instructions"), "metadata": {}, "parallel_tool_calls": True,
            "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": body.get("tools") or [],
        }

    def use(self, body: dict, tool: str) -> dict:
        item = {
            "id": "fc_up1", "type": "function_call", "status": "completed", "call_id": f"call_up{len(body['input'])}",
            "name": tool, "arguments": json.dumps(wanted(body, tool)),
        }
        return self.response(body, item)

    def text(self, body: dict, text: str) -> dict:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        item = {"id": "msg_up1", "type": "message", "role": "assistant", "status": "completed", "content": content}
        return self.response(body, item)

    def stream(self, whole: dict):
        item, begun = whole["output"][0], {**whole, "status": "in_progress", "output": [], "usage": None}
        place = {"item_id": item["id"], "output_index": 0}
        yield "response.created", {"response": begun}
        yield "response.in_progress", {"response": begun}
        if item["type"] == "function_call":
            empty = {**item, "arguments": "", "status": "in_progress"}
            yield "response.output_item.added", {"output_index": 0, "item": empty}
            for piece in halves(item["arguments"]):
                yield "response.function_call_arguments.delta", {**place, "delta": piece}
            done = {**place, "name": item["name"], "arguments": item["arguments"]}
            yield "response.function_call_arguments.done", done
        else:
            part, place = item["content"][0], {**place, "content_index": 0}
            yield "response.output_item.added", {"output_index": 0, "item": {**item, "content": []}}
            yield "response.content_part.added", {**place, "part": {**part, "text": ""}}
            for piece in halves(part["text"]):
                yield "response.output_text.delta", {**place, "delta": piece, "logprobs": []}
            yield "response.output_text.done", {**place, "text": part["text"], "logprobs": []}
            yield "response.content_part.done", {**place, "part": part}
        yield "response.output_item.done", {"output_index": 0, "item": item}
        yield "response.completed", {"response": whole}

    def events(self, body: dict, whole: dict):
        for number, (kind, data) in enumerate(self.stream(whole)):
            yield event({"type": kind, "sequence_number": number, **data}, kind)


PROTOCOLS = {"/v1/messages": Messages(), "/v1/chat/completions": Chat(), "/v1/responses": Responses()}


def answer(protocol, body: dict) -> dict:
    """What the script says to this."""
    if protocol.is_told(body):
        return protocol.text(body, ANSWER)
    tools = protocol.tools(body)
    tool = next((name for name in tools if name.endswith("lookup")), None)
    if tool is None and "ToolSearch" in tools and deferred(body):
        tool = "ToolSearch"
    return protocol.use(body, tool) if tool else protocol.text(body, NOTHING)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    log: pathlib.Path
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0]
        request = {"path": self.path, "headers": {key.lower(): value for key, value in self.headers.items()}, "body": body}
        with self.lock, self.log.open("a") as out:
            out.write(json.dumps(request) + "\n")
        protocol = PROTOCOLS.get(path)
        if protocol is None:
            return self.whole(404, {"error": {"message": f"nobody plays {path}"}})
        said = answer(protocol, body)
        return self.streamed(protocol.events(body, said)) if body.get("stream") else self.whole(200, said)

    def whole(self, status: int, body: dict) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def streamed(self, events) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for one in events:
            self.wfile.write(f"{len(one):x}\r\n".encode() + one + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_) -> None:
        """Nothing is said."""


class Server(http.server.ThreadingHTTPServer):
    """A connection that its client cut is no error."""

    daemon_threads = True

    def handle_error(self, *_) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*_)


def serve(log: pathlib.Path) -> Server:
    """A server in a thread of its own."""
    Handler.log = log
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    print(serve(pathlib.Path(sys.argv[1])).server_port, flush=True)
    sys.stdin.read()
