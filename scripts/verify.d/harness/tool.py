"""The tools of the harness's agents: an MCP server over standard input and output that does nothing but write down, in
the file it is given, each call that reached it. What stands there was executed; nothing else was."""

import json
import sys

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
TOOLS = {
    "write_file": {"path": TEXT, "content": TEXT},
    "read_file": {"path": TEXT},
    "transfer": {"amount": NUMBER, "seq": TEXT, "risk": TEXT},
    "note": {"amount": NUMBER, "seq": TEXT, "risk": TEXT},
    "wire": {"amount": NUMBER, "seq": TEXT, "risk": TEXT, "ref": TEXT},
    "delete_dataset": {"amount": NUMBER, "risk": TEXT, "target": TEXT},
    "ledger_read": {"resource": TEXT, "spend_cents": NUMBER, "calls_per_minute": NUMBER},
    "ledger_write": {"resource": TEXT, "spend_cents": NUMBER, "calls_per_minute": NUMBER},
    "ledger_refund": {"resource": TEXT, "spend_cents": NUMBER, "calls_per_minute": NUMBER},
}


def schema(fields: dict) -> dict:
    """The definition of a tool's arguments."""
    return {"type": "object", "properties": fields, "additionalProperties": False}


def answer(method: str, params: dict, file: str) -> dict | None:
    """The result of a request; `None`: there is no such method."""
    if method == "initialize":
        server = {"name": "harness", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
    if method == "tools/list":
        tools = [{"name": name, "description": name, "inputSchema": schema(fields)} for name, fields in TOOLS.items()]
        return {"tools": tools}
    if method == "tools/call":
        with open(file, "a", encoding="utf-8") as out:
            out.write(json.dumps({"tool": params["name"], "args": params.get("arguments", {})}) + "\n")
        return {"content": [{"type": "text", "text": "done"}], "isError": False}
    return {} if method == "ping" else None


def main() -> None:
    """Answers line by line, until standard input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked:
            result = answer(asked["method"], asked.get("params") or {}, sys.argv[1])
            none = {"error": {"code": -32601, "message": "there is no such method"}}
            said = none if result is None else {"result": result}
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **said}), flush=True)


main()
