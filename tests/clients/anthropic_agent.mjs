// An agent on `@anthropic-ai/sdk`.

import Anthropic from "@anthropic-ai/sdk";

const lookups = [];
const lookup = ({ number }) => {
  lookups.push(number);
  return `Invoice ${number}: 120 EUR`;
};
const tools = [
  {
    name: "lookup",
    description: "Finds an invoice by its number.",
    input_schema: { type: "object", properties: { number: { type: "string" } }, required: ["number"] },
  },
];

async function ask(streams) {
  const client = new Anthropic();
  const messages = [{ role: "user", content: "How much is invoice 7?" }];
  for (;;) {
    const wanted = {
      model: "claude-sonnet-5", max_tokens: 2000, system: "You look invoices up.", tools, messages,
      metadata: { user_id: `streams=${streams}` },
    };
    const answer = streams ? await client.messages.stream(wanted).finalMessage() : await client.messages.create(wanted);
    if (answer.stop_reason !== "tool_use") return answer.content[0].text;
    const uses = answer.content.filter((block) => block.type === "tool_use");
    const results = uses.map((use) => ({ type: "tool_result", tool_use_id: use.id, content: lookup(use.input) }));
    messages.push({ role: "assistant", content: answer.content }, { role: "user", content: results });
  }
}

const told = { answer: null, error: null, lookups };
try {
  for (const streams of [false, true]) told.answer = await ask(streams);
} catch (error) {
  told.error = `${error.constructor.name}: ${error.message}`;
}
console.log(JSON.stringify(told));
