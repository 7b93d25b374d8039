// An agent on `openai` for JavaScript: Chat Completions, then Responses.

import OpenAI from "openai";

const lookups = [];
const lookup = (text) => {
  const { number } = JSON.parse(text);
  lookups.push(number);
  return `Invoice ${number}: 120 EUR`;
};
const parameters = {
  type: "object", properties: { number: { type: "string" } }, required: ["number"], additionalProperties: false,
};
const definition = { name: "lookup", description: "Finds an invoice by its number.", parameters, strict: true };
const question = { role: "user", content: "How much is invoice 7?" };

async function chat(streams) {
  const client = new OpenAI();
  const messages = [{ role: "system", content: "You look invoices up." }, question];
  const tools = [{ type: "function", function: definition }];
  for (;;) {
    const wanted = { model: "gpt-5.5", messages, tools, user: `streams=${streams}` };
    const completion = streams
      ? await client.chat.completions.stream(wanted).finalChatCompletion()
      : await client.chat.completions.create(wanted);
    const answer = completion.choices[0].message;
    if (!answer.tool_calls?.length) return answer.content;
    messages.push({ role: "assistant", content: answer.content, tool_calls: answer.tool_calls });
    for (const call of answer.tool_calls) {
      messages.push({ role: "tool", tool_call_id: call.id, content: lookup(call.function.arguments) });
    }
  }
}

async function responses(streams) {
  const client = new OpenAI();
  const input = [question];
  const tools = [{ type: "function", ...definition }];
  for (;;) {
    const wanted = {
      model: "gpt-5.5", instructions: "You look invoices up.", input, tools, store: false,
      prompt_cache_key: `streams=${streams}`,
    };
    const answer = streams
      ? await client.responses.stream(wanted).finalResponse()
      : await client.responses.create(wanted);
    const calls = answer.output.filter((item) => item.type === "function_call");
    if (calls.length === 0) return answer.output_text;
    for (const call of calls) {
      input.push({ type: "function_call", call_id: call.call_id, name: call.name, arguments: call.arguments });
      input.push({ type: "function_call_output", call_id: call.call_id, output: lookup(call.arguments) });
    }
  }
}

const told = { answer: null, error: null, lookups };
try {
  const ways = { chat: [chat], responses: [responses] }[process.argv[2]] ?? [chat, responses];
  for (const way of ways) for (const streams of [false, true]) told.answer = await way(streams);
} catch (error) {
  told.error = `${error.constructor.name}: ${error.message}`;
}
console.log(JSON.stringify(told));
