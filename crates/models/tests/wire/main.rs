//! The wire formats: golden streams decoded at every split, whole answers, requests encoded, bytes handed on.

mod chat;
mod encode;
mod gemini;
mod passthrough;
mod responses;
mod stream;
