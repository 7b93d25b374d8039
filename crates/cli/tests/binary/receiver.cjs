// A receiver of webhooks as its maker would write it, with the library `standardwebhooks` of npm. Prints its port, then a
// line for each call: whether the library took it, and what it was about.
const { createRequire } = require("node:module");
const http = require("node:http");
const path = require("node:path");
const { Webhook } = createRequire(path.join(process.env.OSTLER_TEST_NPM, "x"))("standardwebhooks");

const webhook = new Webhook(process.argv[2]);
const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString();
    let line;
    try {
      const event = webhook.verify(body, request.headers);
      line = { taken: true, kind: event.kind, type: event.type, id: request.headers["webhook-id"] };
    } catch (error) {
      line = { taken: false, why: String(error) };
    }
    response.writeHead(line.taken ? 204 : 400).end(() => console.log(JSON.stringify(line)));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
