"""PyPI `mcp` against /mcp, in both eras: what is listed, a call, and a write that a person has to consent to. Where a
client takes tasks, the write is one; otherwise the same call is made again after the decision. One yes, one effect."""

import asyncio
import pathlib
import sys
from typing import Literal

import httpx2
from mcp.client import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, Request, RequestParams, Result

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from served import Served, debug_binary, here

TASKS = "io.modelcontextprotocol/tasks"
DRAFT = {"to": "ap@acme.example", "subject": "INV-2041", "body": "Please pay.", "amount_usd": 4180.0}


class Task(Result):
    """A call that is not done yet."""

    result_type: Literal["task"] = "task"
    task_id: str
    status_message: str | None = None


class TaskParams(RequestParams):
    """Which task."""

    task_id: str


class GetTask(Request[TaskParams, Literal["tasks/get"]]):
    """How it stands."""

    name_param = "taskId"
    method: Literal["tasks/get"] = "tasks/get"
    params: TaskParams


class TaskStands(Result):
    """How it stands."""

    status: str
    result: dict | None = None


class Tasks(ClientExtension):
    """A client that takes tasks, as far as this check needs one."""

    identifier = TASKS

    def __init__(self, decide):
        self.decide, self.polled = decide, 0

    def claims(self):
        return [ResultClaim(result_type="task", model=Task, resolve=self.resolve)]

    async def resolve(self, task: Task, context: ClaimContext) -> CallToolResult:
        """Has it decided, and asks until it is done."""
        decided = False
        while True:
            asked = GetTask(params=TaskParams(task_id=task.task_id))
            stands = await context.session.send_request(asked, TaskStands)
            self.polled += 1
            if stands.status == "completed":
                return CallToolResult.model_validate(stands.result)
            check(stands.status == "working", f"a task is {stands.status}")
            if not decided:
                await asyncio.to_thread(self.decide)
                decided = True
            await asyncio.sleep(0.2)


def check(holds: bool, what: object) -> None:
    """It must."""
    if not holds:
        raise SystemExit(f"not so: {what}")


def words(result: CallToolResult) -> str:
    """What the model reads."""
    return "".join(part.text for part in result.content)


def approve(served: Served) -> None:
    """Says yes to the one request that there is."""
    waits = [item for item in served.json("inbox") if item["item"] == "approval"]
    check(len(waits) == 1, waits)
    served.run("approve", waits[0]["id"], "--as", "ana")


def connected(served: Served, mode: str, *extensions) -> Client:
    """A client with the agent's key."""
    headers = {"authorization": f"Bearer {served.key}", "prefer": "wait=0"}
    http = httpx2.AsyncClient(headers=headers, timeout=60)
    transport = streamable_http_client(f"{served.url}/mcp", http_client=http)
    return Client(transport, mode=mode, extensions=list(extensions) or None)


async def again_after_the_decision(served: Served, mode: str) -> None:
    """Waits are told; the same call after the decision is the same call."""
    before = len(served.drafts())
    async with connected(served, mode) as client:
        tools = await client.list_tools()
        names = [tool.name for tool in tools.tools]
        check(names == ["calculate", "email-draft", "forget", "recall", "remember", "sap-invoice-read"], names)
        sum_ = await client.call_tool("calculate", {"expression": "6 * 7"})
        check(words(sum_) == "42", sum_)
        read = await client.call_tool("sap-invoice-read", {"company": "acme"})
        check("INV-" in words(read) and not read.is_error, read)
        unlisted = await client.call_tool("ledger-read", {"company": "acme"})
        check(bool(unlisted.is_error), unlisted)
        draft = dict(DRAFT, subject=f"INV-2041 {mode}")
        waits = await client.call_tool("email-draft", draft)
        check(bool(waits.is_error) and "/inbox/" in words(waits), waits)
        still = await client.call_tool("email-draft", draft)
        check(words(still) == words(waits), (words(still), words(waits)))
        check(len(served.drafts()) == before, "nothing was sent before the decision")
        await asyncio.to_thread(approve, served)
        done = await client.call_tool("email-draft", draft)
        for _ in range(100):
            if not done.is_error:
                break
            await asyncio.sleep(0.1)
            done = await client.call_tool("email-draft", draft)
        check(not done.is_error and len(served.drafts()) == before + 1, (done, served.drafts()))
    print(f"  mode {mode} ({client_version(mode)}): 6 tools listed, 3 used, 1 refused; a write waited, was approved, "
          f"was made once")


def client_version(mode: str) -> str:
    """The revision that is spoken."""
    return "2025-11-25" if mode == "legacy" else "2026-07-28"


async def as_a_task(served: Served) -> None:
    """A write that waits is a task, and its result is the call's."""
    before = len(served.drafts())
    tasks = Tasks(lambda: approve(served))
    async with connected(served, "auto", tasks) as client:
        done = await client.call_tool("email-draft", dict(DRAFT, subject="INV-2041 as a task"))
        check(not done.is_error and tasks.polled > 1, (done, tasks.polled))
    check(len(served.drafts()) == before + 1, served.drafts())
    print(f"  mode auto with tasks (2026-07-28): a write became a task, was approved, completed after {tasks.polled} looks")


def main() -> None:
    """All of it."""
    with Served(here(), debug_binary()) as served:
        for mode in ["auto", "legacy"]:
            asyncio.run(again_after_the_decision(served, mode))
        asyncio.run(as_a_task(served))


main()
