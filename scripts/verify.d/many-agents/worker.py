"""One agent in a process of its own: a graph that asks its (scripted) model, keeps its state in SQLite durably, and
answers. It waits on standard input: a line is a message to a session, and is answered by a line.

Usage: worker.py FILE.sqlite
"""

import sqlite3
import sys
from typing import TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    """What a session keeps."""

    said: str
    answer: str


def think(state: State) -> dict:
    """The model's part, scripted: no model is asked."""
    return {"answer": f'This answer is scripted: no model was asked. You wrote: "{state["said"]}".'}


def main() -> None:
    connection = sqlite3.connect(sys.argv[1], check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    graph = StateGraph(State)
    graph.add_node("think", think)
    graph.add_edge(START, "think")
    graph.add_edge("think", END)
    agent = graph.compile(checkpointer=SqliteSaver(connection))
    print("ready", flush=True)
    for line in sys.stdin:
        session, said = line.rstrip("\n").split(" ", 1)
        thread = {"configurable": {"thread_id": session}}
        agent.invoke({"said": said, "answer": ""}, thread, durability="sync")
        print(session, flush=True)


main()
