//! The demo's mail system. It stores drafts and sends nothing. `draft_email` writes once for every call it gets: the
//! key is kept for whoever counts afterwards, and duplicates are the caller's to prevent.

use std::path::Path;

use rmcp::model::{Tool, ToolAnnotations};
use rmcp::schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::drafts::{Draft, Drafts};
use super::tool::{ToolCall, ToolError, answer, define};

/// The one tool whose answer the demo can hold back.
pub(super) const DRAFT_EMAIL: &str = "draft_email";

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct DraftEmail {
    /// The recipient's address.
    to: String,
    subject: String,
    body: String,
    /// The amount the mail asks to be paid, in dollars; 0 if it asks for none.
    #[schemars(range(min = 0))]
    amount_usd: f64,
    /// The invoice it is about, such as INV-2041.
    invoice_id: Option<String>,
    /// A key to find the draft by. A key in the request's `_meta` goes before this one.
    idempotency_key: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct ListDrafts {
    /// Only drafts stored with this key.
    idempotency_key: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct DraftList {
    total: usize,
    drafts: Vec<Draft>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct DeleteDraft {
    /// The id that draft_email answered.
    id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Deleted {
    deleted: Draft,
}

/// The mail system over one folder.
#[derive(Debug)]
pub(super) struct Mail {
    drafts: Drafts,
}

impl Mail {
    pub(super) fn open(folder: &Path) -> Self {
        Mail { drafts: Drafts::open(folder) }
    }

    /// What this server offers.
    pub(super) fn tools() -> Vec<Tool> {
        vec![
            define::<DraftEmail, Draft>(
                DRAFT_EMAIL,
                "Stores a draft of an email, such as a payment request. Each call stores one more draft.",
                ToolAnnotations::new().read_only(false).destructive(false).idempotent(false),
            ),
            define::<ListDrafts, DraftList>(
                "list_drafts",
                "Lists the stored drafts, oldest first, or those with one idempotency key.",
                ToolAnnotations::new().read_only(true).idempotent(true),
            ),
            define::<DeleteDraft, Deleted>(
                "delete_draft",
                "Deletes a draft by its id and answers what it was.",
                ToolAnnotations::new().read_only(false).destructive(true).idempotent(false),
            ),
        ]
    }

    /// Runs one of [`Mail::tools`].
    pub(super) fn call(&self, call: &ToolCall) -> Result<Value, ToolError> {
        match call.name.as_str() {
            DRAFT_EMAIL => self.draft_email(call).map(answer),
            "list_drafts" => self.list_drafts(call).map(answer),
            "delete_draft" => self.delete_draft(call).map(answer),
            name => Err(ToolError::NoSuchTool(name.to_owned())),
        }
    }

    fn draft_email(&self, call: &ToolCall) -> Result<Draft, ToolError> {
        let asked: DraftEmail = call.read()?;
        let named = asked.to.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        if !named || asked.to.contains(char::is_whitespace) {
            return Err(call.bad(format!("`{}` is not an email address", asked.to)));
        }
        if asked.subject.trim().is_empty() {
            return Err(call.bad("the subject is empty"));
        }
        if asked.amount_usd < 0.0 {
            return Err(call.bad(format!("amount_usd is {}; it must not be negative", asked.amount_usd)));
        }
        let key = call.idempotency_key.clone().or(asked.idempotency_key);
        self.drafts.append(|id| Draft {
            id,
            to: asked.to,
            subject: asked.subject,
            amount_usd: asked.amount_usd,
            invoice_id: asked.invoice_id,
            key,
            body: asked.body,
        })
    }

    fn list_drafts(&self, call: &ToolCall) -> Result<DraftList, ToolError> {
        let asked: ListDrafts = call.read()?;
        let mut drafts = self.drafts.read()?;
        if asked.idempotency_key.is_some() {
            drafts.retain(|draft| draft.key == asked.idempotency_key);
        }
        Ok(DraftList { total: drafts.len(), drafts })
    }

    fn delete_draft(&self, call: &ToolCall) -> Result<Deleted, ToolError> {
        let DeleteDraft { id } = call.read()?;
        let deleted = self.drafts.delete(&id)?;
        deleted
            .map(|deleted| Deleted { deleted })
            .ok_or_else(|| ToolError::NotFound(format!("there is no draft `{id}`")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tool::ToolCall;
    use super::Mail;

    fn call(mail: &Mail, name: &str, arguments: Value, key: Option<&str>) -> Result<Value, String> {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let call = ToolCall { name: name.to_owned(), arguments, idempotency_key: key.map(str::to_owned) };
        mail.call(&call).map_err(|error| error.to_string())
    }

    fn request() -> Value {
        json!({"to": "ap@acme.example", "subject": "Pay INV-2041", "body": "Please pay.", "amount_usd": 4180.00,
               "invoice_id": "INV-2041"})
    }

    fn with(field: &str, value: Value) -> Value {
        let mut request = request();
        request[field] = value;
        request
    }

    #[test]
    fn a_draft_is_answered_with_its_id_and_stored_as_one_json_line() {
        let dir = tempfile::tempdir().unwrap();
        let answered = call(&Mail::open(dir.path()), "draft_email", request(), Some("k-1")).unwrap();
        let text = std::fs::read_to_string(dir.path().join("drafts.jsonl")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), answered);
        let expected = json!({
            "id": "draft-0001", "to": "ap@acme.example", "subject": "Pay INV-2041", "amount_usd": 4180.0,
            "invoice_id": "INV-2041", "key": "k-1", "body": "Please pay.",
        });
        assert_eq!(answered, expected);
    }

    #[test]
    fn the_same_key_twice_makes_two_drafts() {
        let dir = tempfile::tempdir().unwrap();
        let mail = Mail::open(dir.path());
        let first = call(&mail, "draft_email", request(), Some("k-1")).unwrap();
        let second = call(&mail, "draft_email", request(), Some("k-1")).unwrap();
        assert_ne!(first["id"], second["id"]);
        call(&mail, "draft_email", request(), None).unwrap();
        let found = call(&mail, "list_drafts", json!({"idempotency_key": "k-1"}), None).unwrap();
        assert_eq!(found, json!({"total": 2, "drafts": [first, second]}));
        assert_eq!(call(&mail, "list_drafts", json!({}), None).unwrap()["total"], 3);
    }

    #[test]
    fn a_key_in_the_request_goes_before_one_in_the_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let mail = Mail::open(dir.path());
        let own = with("idempotency_key", json!("model"));
        assert_eq!(call(&mail, "draft_email", own.clone(), Some("runtime")).unwrap()["key"], "runtime");
        assert_eq!(call(&mail, "draft_email", own, None).unwrap()["key"], "model");
        assert_eq!(call(&mail, "draft_email", request(), None).unwrap()["key"], Value::Null);
    }

    #[test]
    fn bad_arguments_are_named_and_nothing_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let mail = Mail::open(dir.path());
        for (arguments, expected) in [
            (json!({}), "missing field `to`"),
            (with("to", json!("acme")), "`acme` is not an email address"),
            (with("to", json!("a b@acme.example")), "is not an email address"),
            (with("subject", json!(" ")), "the subject is empty"),
            (with("amount_usd", json!("4180")), "invalid type: string"),
            (with("amount_usd", json!(-1)), "amount_usd is -1; it must not be negative"),
            (with("cc", json!("x@y")), "unknown field `cc`"),
        ] {
            let refusal = call(&mail, "draft_email", arguments, None).unwrap_err();
            assert!(refusal.starts_with("bad arguments for draft_email: ") && refusal.contains(expected), "{refusal}");
        }
        assert!(!dir.path().join("drafts.jsonl").exists());
    }

    #[test]
    fn a_draft_is_deleted_once() {
        let dir = tempfile::tempdir().unwrap();
        let mail = Mail::open(dir.path());
        let draft = call(&mail, "draft_email", request(), None).unwrap();
        let id = json!({"id": draft["id"]});
        assert_eq!(call(&mail, "delete_draft", id.clone(), None).unwrap(), json!({"deleted": draft}));
        assert_eq!(call(&mail, "delete_draft", id, None).unwrap_err(), "there is no draft `draft-0001`");
        assert_eq!(call(&mail, "list_drafts", json!({}), None).unwrap(), json!({"total": 0, "drafts": []}));
    }
}
