// A sender of webhooks as its maker would write it, with the library `standardwebhooks` of npm. Prints one line for each
// answer: the first, the same again, one with a changed body, one signed with another secret, one for another company.
const { createRequire } = require("node:module");
const path = require("node:path");
const { Webhook } = createRequire(path.join(process.env.OSTLER_TEST_NPM, "x"))("standardwebhooks");

const [secret, url] = process.argv.slice(2);
const other = "whsec_" + Buffer.alloc(24, 7).toString("base64");

async function deliver(id, body, { by = secret, sent = body } = {}) {
  const at = new Date();
  const headers = {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(by).sign(id, at, body),
  };
  const answer = await fetch(`${url}/hooks/invoice-clerk/invoice-in`, { method: "POST", headers, body: sent });
  console.log(JSON.stringify({ status: answer.status, body: await answer.json() }));
}

(async () => {
  const body = JSON.stringify({ company: "acme", invoice_id: "INV-7" });
  await deliver("evt-1", body);
  await deliver("evt-1", body);
  await deliver("evt-2", body, { sent: body.replace("acme", "evil") });
  await deliver("evt-3", body, { by: other });
  await deliver("evt-4", body.replace("acme", "zeta"));
})();
