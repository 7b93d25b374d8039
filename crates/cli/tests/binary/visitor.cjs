// A client of /mcp as its maker would write it, with the official SDK of npm. Prints one line for each thing it did:
// what it was shown, a call, a call that waits for a person; then, once told on standard input, the same call again.
const { createRequire } = require("node:module");
const path = require("node:path");
const sdk = createRequire(path.join(process.env.OSTLER_TEST_NPM, "x"));
const { Client } = sdk("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = sdk("@modelcontextprotocol/sdk/client/streamableHttp.js");

const [url, key] = process.argv.slice(2);
const draft = { to: "ap@acme.example", subject: "INV-2041", body: "Please pay.", amount_usd: 4180 };

function say(did, more) {
  console.log(JSON.stringify({ did, ...more }));
}

async function use(client, name, args, meta) {
  const result = await client.callTool({ name, arguments: args, _meta: meta });
  say(name, { error: result.isError === true, text: result.content[0].text });
}

(async () => {
  const headers = { authorization: `Bearer ${key}` };
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  const client = new Client({ name: "visitor", version: "1" });
  await client.connect(transport);
  say("connected", { revision: transport.protocolVersion });
  await client.ping();
  say("listed", { tools: (await client.listTools()).tools.map((tool) => tool.name) });
  await use(client, "sap-invoice-read", { company: "acme" });
  await use(client, "email-draft", draft, { "ostler/wait": 0 });
  await new Promise((resolve) => process.stdin.once("data", resolve));
  await use(client, "email-draft", draft);
  await transport.terminateSession();
  process.exit(0);
})();
