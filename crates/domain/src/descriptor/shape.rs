//! The types that fields have, whatever they mean.

mod choice;
mod collection;
mod number;
mod text;

pub(super) use choice::{Choice, Chosen};
pub(super) use number::{Millis, Share, Whole};
pub(super) use text::{Text, Word, expression_schema, read_expression, text};
