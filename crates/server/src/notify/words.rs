//! What a person is told, in words: who asks, for what, worth how much, until when, and the link. What it is about in
//! full is behind the link: a channel passes through others' hands.

use control::link::Wanted;
use data::feed::FeedEvent;
use domain::call::ApprovalRequest;
use domain::id::Name;
use gateway::mail::Mail;
use maud::html;
use serde_json::json;

use crate::console::words::money;

/// What is told.
pub(super) struct Told<'a> {
    pub(super) event: &'a FeedEvent,
    pub(super) person: &'a Name,
    pub(super) wanted: &'a Wanted,
    pub(super) link: String,
}

impl Told<'_> {
    fn request(&self) -> &ApprovalRequest {
        &self.wanted.request
    }

    fn agent(&self) -> &str {
        self.event.agent.as_ref().map_or("an agent", Name::as_str)
    }

    /// Why this comes now.
    fn because(&self) -> &'static str {
        match self.event.kind.as_str() {
            "approval_reminded" => "reminded",
            "approval_decided" => "edited",
            _ => "requested",
        }
    }

    fn worth(&self) -> String {
        self.request()
            .value_usd_micros
            .map_or_else(|| "of unknown worth".to_owned(), |value| format!("worth {}", money(value)))
    }

    /// What a webhook is sent.
    pub(super) fn body(&self, id: &str) -> String {
        let (event, request) = (self.event, self.request());
        let body = json!({
            "specversion": "1.0", "id": id, "source": event.source, "type": "ostler.consent_wanted", "time": event.time,
            "subject": event.subject, "person": self.person, "agent": event.agent, "session": event.session,
            "mode": event.mode, "synthetic": event.synthetic,
            "data": {
                "approval": request.approval, "capability": request.capability, "because": self.because(),
                "value_usd_micros": request.value_usd_micros, "expires": request.expires_at, "link": self.link,
            },
        });
        body.to_string()
    }

    /// What is mailed.
    pub(super) fn mail(&self, to: &str) -> Mail {
        let (agent, worth, request) = (self.agent(), self.worth(), self.request());
        let capability = request.capability.name();
        let still = match self.because() {
            "reminded" => " still waits for an answer",
            "edited" => " waits for an answer: somebody said yes to other arguments",
            _ => " waits for an answer",
        };
        let asks = format!("{agent} wants to use {capability}, {worth}. It{still}.");
        let until = format!("Without one it becomes a no at {}.", request.expires_at);
        let how =
            "The link is yours alone and answers once. It shows what will happen and why; opening it decides nothing.";
        let text = format!("{asks}\n{until}\n\n{}\n\n{how}\n", self.link);
        let html = html! {
            p { (asks) }
            p { (until) }
            p { a href=(self.link) { "See it, and answer" } }
            p { (how) }
        };
        Mail {
            id: format!("{}.{}", self.event.id, self.person),
            to: to.to_owned(),
            subject: format!("{agent} asks for consent: {capability}, {worth}"),
            text,
            html: html.into_string(),
        }
    }
}
