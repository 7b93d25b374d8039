"""What all agents here have in common: the question, the tool, and the line in the end."""

import json
import os

QUESTION = "How much is invoice 7?"
INSTRUCTIONS = "You look invoices up."
DESCRIPTION = "Finds an invoice by its number."
SCHEMA = {
    "type": "object",
    "properties": {"number": {"type": "string"}},
    "required": ["number"],
    "additionalProperties": False,
}
lookups: list[str] = []


def lookup(number: str) -> str:
    """Finds an invoice by its number."""
    lookups.append(number)
    return f"Invoice {number}: 120 EUR"


def tell(ask, *ways) -> None:
    """Asks in each way, and says what came of the last."""
    told = {"answer": None, "error": None}
    try:
        for way in ways:
            told["answer"] = ask(*way)
    except Exception as error:
        told["error"] = f"{type(error).__module__.partition('.')[0]}.{type(error).__name__}: {error}"
        if os.environ.get("TASK_TRACE"):
            raise
    print(json.dumps({**told, "lookups": lookups}))
