//! What stands below each command's help: lines to copy.

pub(super) const ALL: &str = "\
Exit codes: 0 ok, 1 failed, 2 usage, 3 denied, 4 waiting for approval, 5 budget exhausted.

Start here:
  ostler demo                          everything on your machine, in a minute
  ostler up                            start a server
  ostler init my-agent                 write an agent that runs
  ostler COMMAND --help                examples of each command";

pub(super) const DEMO: &str = "\
Examples:
  ostler demo                          walk, then wait for you at the inbox
  ostler demo --exit -o json           walk to the end by itself; exit 0 if nothing was lost or doubled
  ostler demo --keep                   keep the directory; go on with `ostler up --data DIR`";

pub(super) const UP: &str = "\
Examples:
  ostler up                            data in the user's data directory, at 127.0.0.1:7070
  ostler up --data ./data --listen 127.0.0.1:8080
  ostler up -f descriptors/            apply what is there first
  OSTLER_STORE=postgres://ostler:PASSWORD@db.example/ostler ostler up
  ostler up --smtp smtp://desk@mail.example --mail-from ostler@example.com

With --smtp people can be told by mail what waits for them (`ostler channel set --mail`); the
relay's password is the secret SMTP_PASSWORD. A relay that is not on this machine has to speak TLS.

Secrets of providers and upstreams come from the environment (names that end with _KEY, _TOKEN,
_SECRET or _PASSWORD) or from lines NAME=value in secrets.env of the data directory (mode 0600).
Ctrl-C or SIGTERM stops: calls in flight end first. SIGKILL loses nothing.";

pub(super) const BENCH: &str = "\
Examples:
  ostler bench                         half a minute, on the disk of the data directory
  ostler bench --data /mnt/fast        another disk; the directory is left as it was
  ostler bench --seconds 120 -o json

No server is needed. Each figure stands beside the limit that the same run measured. Other work
on the machine shows: the load before the run is printed.";

pub(super) const INIT: &str = "\
Examples:
  ostler init my-agent                 writes my-agent.yaml, and says what to type next
  ostler init my-agent -f - | less";

pub(super) const APPLY: &str = "\
Examples:
  ostler apply -f my-agent.yaml
  ostler apply -f descriptors/ --dry-run
  ostler init my-agent -f - | ostler apply -f -

A file that a descriptor names (`instructions: {file: …}`) is sent along, from beside it.
What widens a protected agent waits for a second person: exit code 4, and `ostler inbox` shows it.";

pub(super) const DIFF: &str = "\
Examples:
  ostler diff my-agent.yaml
  ostler diff descriptors/ -o json

A line for each change: widens, narrows or neither; what nobody can tell widens. Exit code 4: it would
wait for a second person.";

pub(super) const ROLLBACK: &str = "\
Examples:
  ostler rollback my-agent                   to the revision before
  ostler rollback my-agent --to 3f9a --reason \"it drafts too much\"
  ostler rollback my-agent --dry-run

If it widens a protected agent it waits for a second person, as any change does.";

pub(super) const REVISIONS: &str = "\
Examples:
  ostler revisions my-agent";

pub(super) const WITHDRAW: &str = "\
Examples:
  ostler withdraw change-12 --reason \"not yet\"";

pub(super) const GET: &str = "\
Examples:
  ostler get                           agents, and whether they are ready
  ostler get agent my-agent            what is missing, and what to type next
  ostler get modelproviders -o yaml
  ostler get results my-agent          what it answered";

pub(super) const DELETE: &str = "\
Examples:
  ostler delete agent my-agent         its sessions stay in the log; none of them calls anything again";

pub(super) const RUN: &str = "\
Examples:
  ostler run my-agent \"What is 6 * 7?\"
  ostler run my-agent - < question.txt   or: cat question.txt | ostler run my-agent
  ostler run my-agent \"And times 2?\" --session sums
  ostler run my-agent \"Look into it.\" --detach
  ostler run my-agent --input '{\"company\": \"acme\"}'   or: --input @request.json

The model's words come on standard error while you watch, its answer on standard output.
Exit codes: 0 answered, 1 failed, 3 denied, 4 waiting for approval, 5 budget exhausted.";

pub(super) const SEND: &str = "\
Examples:
  ostler send my-agent \"One more thing.\" --session sums
  ostler send my-agent \"Did they answer?\" --session sums --in 2h
  ostler send my-agent \"Close the month.\" --at 2026-12-01T09:00Z";

pub(super) const PS: &str = "\
Examples:
  ostler ps
  ostler ps --phase suspended          what sleeps, since when and on what
  ostler ps --agent my-agent -o json";

pub(super) const TRACE: &str = "\
Examples:
  ostler trace ses_7118b9dzpa41qsdez6a7967f91
  ostler trace 7f91 --transcript       an ending of the id is enough
  ostler trace 7f91 --cache            what broke a prefix of the prompt, so that it was paid for again
  ostler trace 7f91 -o json";

pub(super) const EXPLAIN: &str = "\
Examples:
  ostler explain ses_7118b9dzpa41qsdez6a7967f91.5
  ostler explain 7f91.5 -o json";

pub(super) const REPLAY: &str = "\
Examples:
  ostler replay --agent dunning-clerk --since 7d --with policy=house.yaml
  ostler replay 7f91 8a02 --with revision=dunning-clerk.yaml
  ostler replay --agent dunning-clerk --with revision=528cbde23036 -o json";

pub(super) const EVENTS: &str = "\
Examples:
  ostler events                        everything that happened, from the beginning
  ostler events --after now --follow   what happens from now on
  ostler events --kind finished,failed --agent my-agent -o jsonl
  ostler events -o jsonl --after CURSOR --follow | my-program

Each event carries the cursor to go on after it: whoever keeps the last one misses nothing. Events
are told at least once (the same `id` again), in order per session, by hashes and amounts;
--content adds what was said.";

pub(super) const WEBHOOK: &str = "\
Examples:
  ostler webhook add office https://office.example/hook --secret OFFICE_SECRET --kinds finished,failed
  ostler webhook test office           one call, now; says what came of it
  ostler webhook list                  how far each is, and what went wrong last
  ostler webhook delete office

Calls are signed (Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature) with a secret
of the server: `openssl rand -base64 32`, as OFFICE_SECRET=… in secrets.env of its data directory.
A call that is not answered with 2xx is made again, later and later, under the same id; 410 ends it.";

pub(super) const CHANNEL: &str = "\
Examples:
  ostler channel set --webhook desk --as ana              needs `ostler webhook add desk … --for-people`
  ostler channel set --mail ana@example.com --as ana      needs `ostler up --smtp … --mail-from …`
  ostler channel list                  how it goes with each, and what went wrong last
  ostler channel remove --as ana

What waits for you is told there, with a link that shows it and answers it once, in your name:
whoever can read the channel can answer as you. It ends when the request does, when you set or
remove your channel, and when a key of yours is revoked.";

pub(super) const BACKUP: &str = "\
Examples:
  ostler backup ostler.tar             the store at one instant, keys and checkpoints, read again to check
  ostler backup store.tar --without-keys

The server goes on meanwhile; it needs as much free space as its store has. The file can be read by
its owner only. It holds the keys of people and administrators too, but not secrets.env.";

pub(super) const RESTORE: &str = "\
Examples:
  ostler restore ostler.tar --data ./restored
  ostler up --data ./restored
  OSTLER_STORE=postgres://ostler:PASSWORD@db.example/ostler ostler restore ostler.tar --data ./restored

Everything is compared with the hashes of the backup's manifest. What happened after the backup is
not in it: sessions go on from there, and writes that were under way then wait in the inbox. A log
that was in PostgreSQL can be restored into a directory, and the other way round.";

pub(super) const UPGRADE: &str = "\
Examples:
  ostler upgrade --rehearse ./data     with the new binary; exit 0: everything would go on as it is

The upgrade itself is `ostler up` with the new binary, after a backup. An older binary refuses a
directory that a newer one has brought to its format.";

pub(super) const TOP: &str = "\
Examples:
  ostler top                           again each second; q and Enter, or Ctrl-C, ends it
  ostler top --once
  ostler top -o json | jq .node.rss_bytes

queued: messages that are due, of as many as the agent may have. Calls and usd are those of the hour
and the day (UTC) that run, beside the cap where there is one.";

pub(super) const INBOX: &str = "\
Examples:
  ostler inbox
  ostler inbox -o json                 with all arguments, to edit them
  ostler inbox stats                   minutes per agent and week; who says yes before anybody could read";

pub(super) const GRANT: &str = "\
Examples:
  ostler grant propose
  ostler grant add dunning email-draft --until 7d --times 50 --usd 5000 --each-usd 400 \\
         --when 'args.to.endsWith(\"@acme.example\")' --reason \"month's end\" --as ana
  ostler grant list
  ostler grant revoke grant-17 --reason \"the month is over\" --as ana

It has an end and a cap. It ends sooner with a new revision of its agent, when its agent or whoever
gave it is frozen, and when it is revoked.";

pub(super) const APPROVE: &str = "\
Examples:
  ostler approve 7f91.5-1 --as ana --reason \"agrees with the invoice\"
  ostler approve 7f91.5-1 --as ana --edit '{\"to\": \"ap@acme.example\", \"amount_usd\": 900}'
  ostler approve --like 7f91.5-1 --as ana --reason \"all agree with their invoices\"
  ostler approve change-12 --as ben --reason \"agreed\"

A yes is bound to exactly these arguments and is used once.";

pub(super) const DENY: &str = "\
Examples:
  ostler deny 7f91.5-1 --as ana --reason \"ask the vendor first\"
  ostler deny change-12 --as ana --reason \"not in this quarter\"";

pub(super) const RESOLVE: &str = "\
Examples:
  ostler resolve 7f91.5 happened --result '{\"id\": \"draft-0002\"}' --as ana
  ostler resolve 7f91.5 did-not --as ana     it is sent again, under the same consent
  ostler resolve 7f91.5 abandon --as ana";

pub(super) const UNDO: &str = "\
Examples:
  ostler undo 7f91                         the plan; nothing is undone
  ostler undo 7f91 --as ana --reason \"wrong month\"
  ostler undo 7f91 --as ana --yes          does not ask

A capability says how it is undone (`undo: {use: NAME, args: {id: result.id}}`), and the agent lists
that capability, too. Newest effect first, each a call like any other; it stops where one cannot be
undone at once, and says what is left. Exit codes: 0 all is undone, 1 something failed, 4 it waits.";

pub(super) const SUSPEND: &str = "\
Examples:
  ostler suspend 7f91 --reason \"let me look first\"

What runs is cut off; a write that was sent is in doubt. Messages and answers that arrive are kept.";

pub(super) const RESUME: &str = "\
Examples:
  ostler resume 7f91";

pub(super) const KILL: &str = "\
Examples:
  ostler kill 7f91 --reason \"wrong month\"";

pub(super) const FREEZE: &str = "\
Examples:
  ostler freeze --agent my-agent --reason \"looks into the wrong books\"
  ostler freeze --all --reason \"drill\"

No call whose intent was recorded after this returned is sent, and on one node nothing at all: what runs is cut off.
Sessions that want to go on wait, keep what arrives, and go on where they were once it is unfrozen.";

pub(super) const UNFREEZE: &str = "\
Examples:
  ostler unfreeze --agent my-agent
  ostler unfreeze --all
  ostler unfreeze 7f91                       one session";

pub(super) const COST: &str = "\
Examples:
  ostler cost                          by agent, the last 24 hours
  ostler cost --by model --since 7d";

pub(super) const AUDIT: &str = "\
Examples:
  ostler audit verify                  exit 0 if everything holds
  ostler audit verify -o json";

pub(super) const PERSON: &str = "\
Examples:
  ostler person add ana --group finance-platform
  ostler person list
  ostler inbox --as ana                from then on";

pub(super) const KEY: &str = "\
Examples:
  ostler key add person ana
  ostler key add agent my-agent
  ostler key list
  ostler key revoke 5b95cfbcf4d6";

pub(super) const ONBOARD: &str = "\
Examples:
  ostler onboard my-agent --claude-code
  eval \"$(ostler onboard my-agent --openai --print)\"   sets it in this shell
  ostler onboard my-agent --mcp --print > .mcp.json
  ostler onboard my-agent --anthropic --timeout 2m -o json

The agent's code stays as it is: its SDK finds Ostler, and a key of the agent's, where it looks for its
provider's. The key is made once and kept in the data directory; exit 1 if nobody called in time.";

pub(super) const LOGIN: &str = "\
Examples:
  ostler login ana                     open what it prints; it works once";

pub(super) const SHADOW: &str = "\
Examples:
  ostler shadow import my-agent what-people-did.csv
  ostler run my-agent \"Invoice INV-7\" --case INV-7
  ostler shadow report my-agent
  ostler shadow promote my-agent --to supervised --as ana

The CSV has a column `case`, and may have `tool`, `answer` and one for each argument compared.";

pub(super) const SCHEMA: &str = "\
Examples:
  ostler schema > ostler.schema.json";

pub(super) const COMPLETION: &str = "\
Examples:
  ostler completion bash > ~/.local/share/bash-completion/completions/ostler";

pub(super) const BUDGET: &str = "\
Examples:
  ostler budget show                   every owner group and agent, in the windows that run
  ostler budget set owner/finance usd_per_day=40 --timezone Europe/Madrid
  ostler budget topup my-agent --usd 5 --reason \"month's end\"
  ostler budget prove                  the most that can be spent today, and why

Money that calls in flight may come to is held before they are sent: a budget is never overspent.";

pub(super) const POLICY: &str = "\
Examples:
  ostler policy show reconciliation-finance
  ostler policy explain reconciliation-finance email-draft '{\"to\": \"a@b.example\"}' --value 1500
  ostler policy test calls.yaml                     exit 1 where a call is decided otherwise
  ostler policy test calls.yaml -f new-policy.yaml  with that file taken as applied; nothing is changed
  ostler policy schema                              what a rule can read, tool by tool";
