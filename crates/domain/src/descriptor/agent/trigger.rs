//! `spec.triggers`: what starts an agent without a person. A schedule, or a webhook that somebody else sends.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::concurrency::Concurrency;
use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Field, Fields, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::{Content, Node, shown};
use crate::descriptor::shape::{JsonObject, Word, expression_schema, read_expression, text};
use crate::expression::Expression;
use crate::id::Name;
use crate::schedule::{self, Schedule, ScheduleError};

/// What starts an agent without a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// What it is called; each of an agent has a name of its own.
    pub name: Name,
    /// What sets it off.
    pub on: On,
}

/// What sets a trigger off.
#[derive(Debug, Clone, PartialEq)]
pub enum On {
    /// The clock.
    Cron {
        /// When.
        schedule: Schedule,
        /// What the session is given: a JSON object.
        input: Option<Value>,
    },
    /// A signed request of somebody else.
    Webhook {
        /// The name of the secret that it is signed with.
        secret: String,
        /// The name of the session that gets it, over `body`; `None`: each request starts one.
        session: Option<Expression>,
        /// What the session is given, over `body`; `None`: all of it.
        input: Option<Expression>,
    },
}

/// The name of a secret.
struct SecretName(String);

impl Shape for SecretName {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let written = text(node, "the name of a secret", reading)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let begins = written.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if begins && written.len() <= 128 && written.chars().all(plain) {
            return Some(SecretName(written.to_owned()));
        }
        // What stands here may be the secret itself: it is not shown.
        let finding = Finding::new(&node.at, "this is not the name of a secret");
        reading.wrong(finding.help("name it, such as SAP_HOOK; its value belongs in the environment or secrets.env"));
        None
    }

    fn write(&self) -> Value {
        self.0.as_str().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,127}$"})
    }
}

/// `webhook: {secret: NAME}`.
struct Webhook(SecretName);

const SECRET: Field<SecretName> =
    Field::required("secret", "The name of the secret that requests are signed with (Standard Webhooks).");
const WEBHOOK_FIELDS: Mapping = Mapping { rows: &[SECRET.row()], not_yet: &[] };

impl Shape for Webhook {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        WEBHOOK_FIELDS.open(node, reading)?.required(&SECRET, reading).map(Webhook)
    }

    fn write(&self) -> Value {
        Writer::default().put(&SECRET, &self.0).done()
    }

    fn schema() -> Value {
        WEBHOOK_FIELDS.schema()
    }
}

/// A cron expression as it is written; it is read together with its time zone.
struct CronText(String);

impl Shape for CronText {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let written = text(node, "a cron expression such as \"0 2 * * *\"", reading)?;
        match Schedule::parse(written, None) {
            Ok(_) => Some(CronText(written.to_owned())),
            Err(error) => {
                let help = "minute hour day-of-month month day-of-week, such as \"0 2 * * *\": every day at 2";
                reading.wrong(Finding::new(&node.at, shown_whole(&error)).help(help));
                None
            }
        }
    }

    fn write(&self) -> Value {
        self.0.as_str().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^\\s*(\\S+\\s+){4}\\S+\\s*$", "maxLength": schedule::MAX_LENGTH})
    }
}

fn shown_whole(error: &ScheduleError) -> String {
    error.to_string().chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// What a session is given: a JSON object for a schedule, an expression for a webhook.
enum Input {
    Object(Value),
    Over(Expression),
}

impl Shape for Input {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        match node.content {
            Content::Map(_) => JsonObject::read(node, reading).map(|JsonObject(object)| Input::Object(object)),
            Content::Plain(_) | Content::Quoted(_) | Content::List(_) => {
                read_expression(node, &["body"], reading).map(Input::Over)
            }
        }
    }

    fn write(&self) -> Value {
        match self {
            Input::Object(object) => object.clone(),
            Input::Over(expression) => expression.source().into(),
        }
    }

    fn schema() -> Value {
        json!({"oneOf": [JsonObject::schema(), expression_schema()]})
    }
}

/// An expression over `body`: what a webhook brought.
struct OverBody(Expression);

impl Shape for OverBody {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        read_expression(node, &["body"], reading).map(OverBody)
    }

    fn write(&self) -> Value {
        self.0.source().into()
    }

    fn schema() -> Value {
        expression_schema()
    }
}

const NAME: Field<Name> = Field::required("name", "What it is called.");
const CRON: Field<CronText> =
    Field::new("cron", "When, in five fields: minute hour day-of-month month day-of-week, such as \"0 2 * * *\".");
const TIMEZONE: Field<Word> = Field::new("timezone", "The IANA time zone of cron, such as Europe/Madrid. Absent: UTC.");
const WEBHOOK: Field<Webhook> = Field::new("webhook", "On a signed request to /hooks/AGENT/TRIGGER.");
const SESSION: Field<OverBody> =
    Field::new("session", "With webhook: which session gets it, over body. Absent: each request starts one.");
const INPUT: Field<Input> =
    Field::new("input", "What the session is given. With cron: a mapping. With webhook: over body; absent: all of it.");
const FIELDS: Mapping = Mapping {
    rows: &[NAME.row(), CRON.row(), TIMEZONE.row(), WEBHOOK.row(), SESSION.row(), INPUT.row()],
    not_yet: &[],
};

impl Shape for Trigger {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let name = fields.required(&NAME, reading);
        let cron = fields.optional(&CRON, reading);
        let zone = fields.optional(&TIMEZONE, reading);
        let webhook = fields.optional(&WEBHOOK, reading);
        let session = fields.optional(&SESSION, reading);
        let input = fields.optional(&INPUT, reading);
        let (zone, session, input) = (zone?, session?, input?);
        let on = match (cron?, webhook?) {
            (Some(CronText(cron)), None) => {
                if session.is_some() {
                    let help = "leave it out: each firing starts a session of its own";
                    return fields.senseless(&SESSION, "means nothing with `cron`", help, reading);
                }
                On::Cron { schedule: zoned(&cron, zone, node, reading)?, input: object(input, &fields, reading)? }
            }
            (None, Some(Webhook(SecretName(secret)))) => {
                if zone.is_some() {
                    return fields.senseless(&TIMEZONE, "means nothing with `webhook`", "leave it out", reading);
                }
                let input = over_body(input, &fields, reading)?;
                On::Webhook { secret, session: session.map(|OverBody(session)| session), input }
            }
            (None, None) | (Some(_), Some(_)) => {
                let finding = Finding::new(&node.at, "expected either `cron` or `webhook`");
                reading.wrong(finding.help("such as cron: \"0 2 * * *\" or webhook: {secret: NAME}"));
                return None;
            }
        };
        Some(Trigger { name: name?, on })
    }

    fn write(&self) -> Value {
        let out = Writer::default().put(&NAME, &self.name);
        match &self.on {
            On::Cron { schedule, input } => out
                .put(&CRON, &CronText(schedule.cron().to_owned()))
                .put_some(&TIMEZONE, schedule.zone().map(|zone| Word(zone.to_owned())).as_ref())
                .put_some(&INPUT, input.clone().map(Input::Object).as_ref()),
            On::Webhook { secret, session, input } => out
                .put(&WEBHOOK, &Webhook(SecretName(secret.clone())))
                .put_some(&SESSION, session.clone().map(OverBody).as_ref())
                .put_some(&INPUT, input.clone().map(Input::Over).as_ref()),
        }
        .done()
    }

    fn schema() -> Value {
        let mut schema = FIELDS.schema();
        let object = json!({"type": "object"});
        schema["oneOf"] = json!([
            {"required": ["cron"], "properties": {"webhook": false, "session": false, "input": object}},
            {"required": ["webhook"], "properties": {"cron": false, "timezone": false, "input": {"not": object}}},
        ]);
        schema
    }
}

/// The input of a schedule.
fn object(input: Option<Input>, fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Option<Value>> {
    match input {
        None => Some(None),
        Some(Input::Object(object)) => Some(Some(object)),
        Some(Input::Over(_)) => {
            let help = "a schedule brings no body: write the values themselves";
            fields.senseless(&INPUT, "must be a mapping with `cron`", help, reading)
        }
    }
}

/// The input of a webhook.
fn over_body(input: Option<Input>, fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Option<Expression>> {
    match input {
        None => Some(None),
        Some(Input::Over(expression)) => Some(Some(expression)),
        Some(Input::Object(_)) => {
            let help = "such as `input: body` or `input: body.data`";
            fields.senseless(&INPUT, "must be an expression over body with `webhook`", help, reading)
        }
    }
}

fn zoned(cron: &str, zone: Option<Word>, node: &Node, reading: &mut Reading<'_>) -> Option<Schedule> {
    let zone = zone.map(|Word(zone)| zone);
    match Schedule::parse(cron, zone.as_deref()) {
        Ok(schedule) => Some(schedule),
        Err(error) => {
            let at = node.get("timezone").map_or(&node.at, |zone| &zone.at);
            let help = "an IANA name such as Europe/Madrid or America/New_York";
            reading.within("timezone", at, |reading| reading.wrong(Finding::new(at, shown_whole(&error)).help(help)));
            None
        }
    }
}

/// Each trigger under a name of its own, and each schedule with an input that says which partition it is for.
pub(super) fn check_triggers(
    triggers: &[Trigger],
    concurrency: &Concurrency,
    spec: &Node,
    reading: &mut Reading<'_>,
) -> Option<()> {
    let mut seen = BTreeSet::new();
    let mut fine = Some(());
    let Some(Content::List(nodes)) = spec.get("triggers").map(|node| &node.content) else { return fine };
    for (trigger, node) in triggers.iter().zip(nodes) {
        let unpartitioned = match &trigger.on {
            On::Cron { input, .. } => concurrency.partition(input.as_ref().unwrap_or(&Value::Null)).err(),
            On::Webhook { .. } => None,
        };
        let finding = if !seen.insert(&trigger.name) {
            Finding::new(&node.at, format!("a second trigger named `{}`", shown(trigger.name.as_str())))
                .help("give it another name")
        } else if let Some(why) = unpartitioned {
            Finding::new(&node.at, format!("its input gives no `concurrency.key`: {why}"))
                .help("each schedule works on one partition: write what the key wants into its `input`")
        } else {
            continue;
        };
        reading.within("triggers", &node.at, |reading| reading.wrong(finding));
        fine = None;
    }
    fine
}
