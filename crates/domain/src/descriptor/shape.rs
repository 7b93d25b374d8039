//! The types that fields have, whatever they mean.

mod choice;
mod collection;
mod json;
mod number;
mod text;
mod written;

pub(super) use choice::{Choice, Chosen, Truth};
pub(super) use json::JsonObject;
pub(super) use number::{Millis, Share, Whole};
pub(super) use text::{OverInput, Text, Word, expression_schema, read_expression, text};
pub(super) use written::{Written, file_of};
