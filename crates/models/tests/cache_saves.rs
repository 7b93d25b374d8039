//! What cache marks come to, as arithmetic: 1,000 conversations of 2 to 40 calls that only grow, made from one seed, are
//! sent through Ostler's marks, without caches, and as a client sends them that marks by itself. A model of the
//! provider's cache, as it is documented, counts what is read, written and neither. The table it prints names each
//! baseline. No provider was asked.
//!
//! `cargo test -p models --test cache_saves -- --nocapture`

use std::collections::BTreeSet;

use domain::call::MarkedBy;
use domain::clock::Timestamp;
use domain::descriptor::Protocol;
use models::cache;
use models::price::PriceTable;
use models::usage::Usage;
use serde_json::{Value, json};

const SEED: u64 = 20_261_122;
const CONVERSATIONS: usize = 1000;
/// How far back of a mark the provider looks for what it kept, in blocks.
const LOOKBACK: usize = 20;
/// 2026-11-22.
const NOW: Timestamp = Timestamp(1_795_305_600_000);

/// Numbers that look random and are the same every time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn between(&mut self, least: usize, most: usize) -> usize {
        least + (self.next() % (most - least + 1) as u64) as usize
    }

    /// As often near the least as near the most, by magnitude.
    fn about(&mut self, least: usize, most: usize) -> usize {
        let share = (self.next() % 10_000) as f64 / 10_000.0;
        (least as f64 * (most as f64 / least as f64).powf(share)) as usize
    }

    fn words(&mut self, bytes: usize) -> String {
        const WORDS: [&str; 8] = ["ledger", "of", "account", "the", "4180.10", "open", "invoice", "vendor"];
        let mut text = String::with_capacity(bytes + 8);
        while text.len() < bytes {
            text.push_str(WORDS[self.between(0, 7)]);
            text.push(' ');
        }
        text
    }
}

/// One conversation: its model, how many bytes make a token of it, what every body begins with, without marks, all that
/// was said, and how much of it each call sends.
struct Conversation {
    model: &'static str,
    bytes_per_token: f64,
    body: Value,
    messages: Vec<Value>,
    calls: Vec<usize>,
}

const MODELS: [&str; 6] = [
    "claude-opus-4-7",
    "claude-opus-5-5",
    "claude-sonnet-4-6",
    "claude-sonnet-5-5",
    "claude-haiku-4-5",
    "claude-haiku-5-5",
];

/// What an agent is told before anybody speaks, in bytes, at least: longer than any model's minimum.
const TOLD: usize = 24_000;
/// Shorter: most models keep no such prefix at first.
const TOLD_LITTLE: usize = 1500;

fn conversation(chance: &mut Chance, told: usize) -> Conversation {
    let model = MODELS[chance.between(0, MODELS.len() - 1)];
    let tool = |chance: &mut Chance, at: usize| {
        let about = chance.between(200, 900);
        json!({"name": format!("tool_{at}"), "description": chance.words(about), "input_schema": {"type": "object"}})
    };
    let many = chance.between(1, 24);
    let tools: Vec<Value> = (0..many).map(|at| tool(chance, at)).collect();
    let (instructions, asked) = (chance.about(told, 2 * told), chance.about(40, 6000));
    let system = chance.words(instructions);
    let mut messages = vec![json!({"role": "user", "content": chance.words(asked)})];
    let mut calls = vec![1];
    for call in 1..chance.between(2, 40) {
        let uses = if chance.between(0, 9) == 0 { chance.between(8, 24) } else { chance.between(1, 3) };
        let (mut said, mut answered) = (Vec::new(), Vec::new());
        for at in 0..uses {
            let id = format!("use_{call}_{at}");
            let (thought, result) = (chance.between(20, 300), chance.about(60, 4000));
            if at == 0 {
                said.push(json!({"type": "text", "text": chance.words(thought)}));
            }
            said.push(json!({"type": "tool_use", "id": id, "name": "tool_0", "input": {"account": call}}));
            answered.push(json!({"type": "tool_result", "tool_use_id": id, "content": chance.words(result)}));
        }
        messages.push(json!({"role": "assistant", "content": said}));
        messages.push(json!({"role": "user", "content": answered}));
        calls.push(messages.len());
    }
    let body = json!({"model": model, "max_tokens": 4096, "tools": tools, "system": system});
    Conversation { model, bytes_per_token: chance.between(32, 46) as f64 / 10.0, body, messages, calls }
}

impl Conversation {
    /// What is sent once so many messages were said.
    fn body(&self, messages: usize) -> Value {
        let mut body = self.body.clone();
        body["messages"] = Value::Array(self.messages[..messages].to_vec());
        body
    }
}

/// Of every block of a prompt, in the provider's order, whatever `each` says.
fn blocks<T>(body: &Value, each: impl Fn(&Value) -> T) -> Vec<T> {
    let mut all = Vec::new();
    let mut add = |content: &Value| match content {
        Value::Array(list) => all.extend(list.iter().map(&each)),
        text => all.push(each(text)),
    };
    ["tools", "system"].iter().filter_map(|part| body.get(part)).for_each(&mut add);
    body["messages"].as_array().into_iter().flatten().for_each(|message| add(&message["content"]));
    all
}

/// The provider's side: the prefixes that it keeps, by how many blocks they are.
struct Provider {
    /// The prompt up to each block, in tokens.
    tokens: Vec<u64>,
    min_tokens: u64,
    kept: BTreeSet<usize>,
}

impl Provider {
    fn of(conversation: &Conversation) -> Self {
        let mut bytes = 0;
        let tokens = blocks(&conversation.body(conversation.messages.len()), |block| block.to_string().len())
            .into_iter()
            .map(|block| {
                bytes += block;
                (bytes as f64 / conversation.bytes_per_token).ceil() as u64
            });
        let tokens = [0].into_iter().chain(tokens).collect();
        let caching = PriceTable::compiled_in().caching(Some("anthropic"), conversation.model);
        Provider { tokens, min_tokens: caching.min_tokens.expect("it is in the table"), kept: BTreeSet::new() }
    }

    fn call(&mut self, body: &Value) -> Usage {
        let marked = blocks(body, |block| block.get("cache_control").is_some());
        let marks: Vec<usize> = (1..=marked.len()).filter(|at| marked[at - 1]).collect();
        assert!(marks.len() <= cache::MOST_MARKS, "{} marks", marks.len());
        let found = |mark: &usize| (mark.saturating_sub(LOOKBACK)..=*mark).rev().find(|at| self.kept.contains(at));
        let read = marks.iter().rev().find_map(found).map_or(0, |at| self.tokens[at]);
        let kept: Vec<usize> = marks.into_iter().filter(|mark| self.tokens[*mark] >= self.min_tokens).collect();
        let known = kept.last().map_or(read, |last| self.tokens[*last].max(read));
        self.kept.extend(kept);
        Usage {
            input: self.tokens[marked.len()] - known,
            cache_read: read,
            cache_write_5m: known - read,
            ..Usage::default()
        }
    }
}

/// What the input of a conversation costs as `marked` sends it, and without caches, in micro-dollars.
fn cost(of: &Conversation, marked: impl Fn(&mut Value)) -> (i64, i64) {
    let price = PriceTable::compiled_in().price(Some("anthropic"), of.model, NOW).expect("it is in the table");
    let mut provider = Provider::of(of);
    let (mut with, mut without) = (0, 0);
    for call in &of.calls {
        let mut body = of.body(*call);
        marked(&mut body);
        let usage = provider.call(&body);
        with += price.of(&usage).usd_micros;
        without += price.uncached(&usage).usd_micros;
    }
    (with, without)
}

fn anthropic() -> Protocol {
    Protocol::Anthropic { base_url: "https://api.anthropic.com".to_owned(), key: None }
}

fn ours(of: &Conversation) -> impl Fn(&mut Value) {
    let model = of.model;
    move |body| cache::mark(&anthropic(), model, body)
}

/// As clients do that mark by themselves: after the instructions, and the last two things said to the model.
fn a_clients_own(body: &mut Value) {
    let marked = json!({"type": "ephemeral"});
    body["system"] = json!([{"type": "text", "text": body["system"].take(), "cache_control": marked}]);
    let messages = body["messages"].as_array_mut().expect("a list");
    for message in messages.iter_mut().rev().filter(|message| message["role"] == "user").take(2) {
        if let Some(text) = message["content"].as_str() {
            message["content"] = json!([{"type": "text", "text": text}]);
        }
        let last = message["content"].as_array_mut().and_then(|blocks| blocks.last_mut());
        last.expect("a block")["cache_control"] = marked.clone();
    }
}

/// What a set of conversations came to, in micro-dollars, by how they were sent.
#[derive(Default)]
struct Sums {
    conversations: usize,
    calls: usize,
    uncached: i64,
    marked: i64,
    by_client: i64,
    passed_on: i64,
    /// How many of them Ostler's marks made dearer.
    dearer: usize,
}

fn compare(conversations: usize, told: usize) -> Sums {
    let (mut chance, mut sums) = (Chance(SEED), Sums::default());
    for _ in 0..conversations {
        let of = conversation(&mut chance, told);
        assert!((2..=40).contains(&of.calls.len()));
        let (with, without) = cost(&of, ours(&of));
        let (by_client, _) = cost(&of, a_clients_own);
        let mut body = of.body(of.messages.len());
        a_clients_own(&mut body);
        let before = body.clone();
        ours(&of)(&mut body);
        assert_eq!(body, before, "a client's own marks are never touched");
        sums.conversations += 1;
        sums.calls += of.calls.len();
        sums.uncached += without;
        sums.marked += with;
        sums.by_client += by_client;
        // Its bodies go out as they are.
        sums.passed_on += by_client;
        sums.dearer += usize::from(with > without);
    }
    sums
}

#[test]
fn marks_save_most_of_the_input_and_make_no_conversation_dearer() {
    let sums = compare(CONVERSATIONS, TOLD);
    let share = |part: i64, whole: i64| 100.0 * part as f64 / whole as f64;
    let saved = 100.0 - share(sums.marked, sums.uncached);
    println!("{} conversations, {} calls, input only, seed {SEED}", sums.conversations, sums.calls);
    println!("{:44} {:>10} {:>8}", "", "USD", "saved");
    let rows = [
        ("uncached: no marks", sums.uncached),
        ("marked by Ostler", sums.marked),
        ("client-cached: its own marks", sums.by_client),
        ("client-cached: the same through Ostler", sums.passed_on),
    ];
    for (name, micros) in rows {
        println!("{name:44} {:>10.2} {:>7.1}%", micros as f64 / 1e6, 100.0 - share(micros, sums.uncached));
    }
    println!("dearer than uncached: {}", sums.dearer);
    println!("Ostler's marks beside the client's: {:.2}%", share(sums.marked, sums.by_client));
    assert_eq!((sums.conversations, sums.dearer), (CONVERSATIONS, 0));
    assert!(saved >= 70.0, "{saved}");
    assert!(share(sums.marked, sums.by_client) <= 101.0);
    assert!(share(sums.passed_on, sums.by_client) <= 101.0);
}

/// Where a conversation begins shorter than what its model keeps, the first mark that counts is a bet that it goes on:
/// few lose it, and a quarter of one call's input with it.
#[test]
fn conversations_that_begin_short_are_hardly_ever_dearer() {
    let sums = compare(100, TOLD_LITTLE);
    println!("begun short: {} of {} dearer than uncached", sums.dearer, sums.conversations);
    assert!(sums.dearer <= 2 && sums.marked * 2 < sums.uncached);
}

#[test]
fn what_is_new_has_a_mark_every_fifteen_blocks() {
    let block = |at: usize| json!({"type": "text", "text": format!("Block {at} says something of its own.")});
    let said = |from: usize, to: usize| (from..to).map(block).collect::<Vec<_>>();
    let mut body = json!({"system": "Be exact.", "messages": [
        {"role": "user", "content": said(0, 300)},
        {"role": "assistant", "content": said(300, 302)},
        {"role": "user", "content": said(302, 330)},
    ]});
    cache::mark(&anthropic(), "claude-opus-5-5", &mut body);
    let marked = blocks(&body, |block| block.get("cache_control").is_some());
    let at: Vec<usize> = (0..marked.len()).filter(|at| marked[*at]).collect();
    // After the instructions, where the call before ended, the end, and fifteen before it.
    assert_eq!(at, [0, 300, 315, 330]);
}

#[test]
fn reasoning_and_empty_text_are_never_marked() {
    let mut body = json!({"tools": [{"name": "a"}], "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Go."}, {"type": "text", "text": " "}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "x"}]},
    ]});
    cache::mark(&anthropic(), "claude-opus-5-5", &mut body);
    let marked = blocks(&body, |block| block.get("cache_control").is_some());
    assert_eq!(marked, [true, true, false, false]);
}

#[test]
fn openai_is_told_which_calls_belong_together() {
    let chat = Protocol::OpenaiChat { base_url: "https://api.openai.com/v1".to_owned(), key: None };
    let said = |more: &[Value]| {
        let first = [json!({"role": "system", "content": "Be exact."}), json!({"role": "user", "content": "Go."})];
        let messages = [first.as_slice(), more].concat();
        json!({"model": "gpt-5.6-sol", "messages": messages})
    };
    let (mut first, mut second) = (said(&[]), said(&[json!({"role": "assistant", "content": "Gone."})]));
    cache::mark(&chat, "gpt-5.6-sol", &mut first);
    cache::mark(&chat, "gpt-5.6-sol", &mut second);
    assert!(first["prompt_cache_key"].is_string());
    assert_eq!(first["prompt_cache_key"], second["prompt_cache_key"]);
    assert_eq!(second["messages"][0]["content"][0]["prompt_cache_breakpoint"], json!({"mode": "explicit"}));
    let mut older = said(&[]);
    cache::mark(&chat, "gpt-5.5", &mut older);
    assert_eq!(
        (older["messages"][0]["content"].as_str(), older["prompt_cache_key"].is_string()),
        (Some("Be exact."), true)
    );
    let mut own = said(&[]);
    own["prompt_cache_key"] = "mine".into();
    cache::mark(&chat, "gpt-5.5", &mut own);
    assert_eq!(own["prompt_cache_key"], "mine");
    // Another server may refuse what it does not know.
    let other = Protocol::OpenaiChat { base_url: "https://api.mistral.ai/v1".to_owned(), key: None };
    let mut plain = said(&[]);
    cache::mark(&other, "mistral-large-latest", &mut plain);
    assert_eq!(plain, said(&[]));
}

#[test]
fn whose_marks_a_body_has_is_known() {
    let chat = |url: &str| Protocol::OpenaiChat { base_url: url.to_owned(), key: None };
    let mut body = json!({"system": "Be exact.", "messages": [{"role": "user", "content": "Go."}]});
    let own = body.clone();
    cache::mark(&anthropic(), "claude-opus-5-5", &mut body);
    let bytes = |body: &Value| serde_json::to_vec(body).unwrap();
    assert_eq!(cache::marked_by(&anthropic(), Some(&own), &bytes(&body)), Some(MarkedBy::Ostler));
    assert_eq!(cache::marked_by(&anthropic(), Some(&body), &bytes(&body)), Some(MarkedBy::Client));
    assert_eq!(cache::marked_by(&anthropic(), None, &bytes(&own)), None, "without marks it keeps nothing");
    assert_eq!(cache::marked_by(&chat("http://127.0.0.1:1"), None, &bytes(&own)), Some(MarkedBy::Provider));
    let quoted =
        json!({"messages": [{"role": "user", "content": bytes(&body).iter().map(|b| *b as char).collect::<String>()}]});
    assert_eq!(cache::marked_by(&anthropic(), None, &bytes(&quoted)), None, "what is said is no mark");
}
