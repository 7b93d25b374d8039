//! Tree and JSON to a value. Numbers are doubles; one that is not finite, or whole and too large to be exact, is an
//! error, so that an amount is right or unknown.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::token::EXACT;
use super::{Expression, Operator, Tree};
use crate::money::UsdMicros;

/// The longest text that `+` makes, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// Why an expression has no value here: what is missing or does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvaluateError(String);

/// What an expression came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluated<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// Words.
    Text(Cow<'a, str>),
    /// A list that the expression wrote.
    List(Vec<Evaluated<'a>>),
    /// A list or mapping of the input.
    Json(&'a Value),
}

/// As JSON writes it; a text without its quotes.
impl fmt::Display for Evaluated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evaluated::Null => f.write_str("null"),
            Evaluated::Bool(truth) => write!(f, "{truth}"),
            Evaluated::Number(number) => write!(f, "{}", number + 0.0),
            Evaluated::Text(text) => f.write_str(text),
            Evaluated::Json(json) => write!(f, "{json}"),
            Evaluated::List(items) => {
                let items: Vec<_> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

type Answer<'a> = Result<Evaluated<'a>, EvaluateError>;

fn error<T>(message: impl Into<String>) -> Result<T, EvaluateError> {
    Err(EvaluateError(message.into()))
}

impl Expression {
    /// Its value, where paths begin in these roots.
    ///
    /// # Errors
    /// When a path is not there, types do not fit, or a number leaves the exact range.
    pub fn evaluate<'a>(&'a self, roots: &[(&str, &'a Value)]) -> Answer<'a> {
        value(&self.tree, roots)
    }

    /// Its value as money: a number of dollars.
    ///
    /// # Errors
    /// When it has no value, or one that is not an amount: not a number, negative, too large.
    pub fn usd(&self, roots: &[(&str, &Value)]) -> Result<UsdMicros, EvaluateError> {
        match self.evaluate(roots)? {
            Evaluated::Number(dollars) => UsdMicros::from_dollars(dollars)
                .ok_or_else(|| EvaluateError(format!("`{self}` is {dollars}, which is no amount in dollars"))),
            other => error(format!("`{self}` is {}, not a number of dollars", other.what())),
        }
    }

    /// Its value as one word or text: a text that is not empty, or a whole number.
    ///
    /// # Errors
    /// When it has no value or another one.
    pub fn text(&self, roots: &[(&str, &Value)]) -> Result<String, EvaluateError> {
        match self.evaluate(roots)? {
            Evaluated::Text(text) if !text.is_empty() => Ok(text.into_owned()),
            Evaluated::Number(number) if number.fract() == 0.0 => Ok(format!("{:.0}", number + 0.0)),
            other => error(format!("`{self}` is {}, not a text", other.what())),
        }
    }

    /// Its value as JSON.
    ///
    /// # Errors
    /// When it has no value.
    pub fn json(&self, roots: &[(&str, &Value)]) -> Result<Value, EvaluateError> {
        Ok(self.evaluate(roots)?.into_json())
    }

    /// Its value as a truth.
    ///
    /// # Errors
    /// When it has no value or one that is neither true nor false.
    pub fn truth(&self, roots: &[(&str, &Value)]) -> Result<bool, EvaluateError> {
        self.evaluate(roots)?.truth()
    }
}

impl<'a> Evaluated<'a> {
    /// A JSON value as an operand.
    fn of(json: &'a Value) -> Answer<'a> {
        Ok(match json {
            Value::Null => Evaluated::Null,
            Value::Bool(truth) => Evaluated::Bool(*truth),
            Value::String(text) => Evaluated::Text(Cow::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => Evaluated::Json(json),
            Value::Number(number) => return exact(number.as_f64().unwrap_or(f64::NAN)),
        })
    }

    fn into_json(self) -> Value {
        match self {
            Evaluated::Null => Value::Null,
            Evaluated::Bool(truth) => truth.into(),
            Evaluated::Number(number) if number.fract() == 0.0 => Value::from(number as i64),
            Evaluated::Number(number) => number.into(),
            Evaluated::Text(text) => Value::String(text.into_owned()),
            Evaluated::List(items) => items.into_iter().map(Evaluated::into_json).collect(),
            Evaluated::Json(json) => json.clone(),
        }
    }

    fn truth(&self) -> Result<bool, EvaluateError> {
        match self {
            Evaluated::Bool(truth) => Ok(*truth),
            other => error(format!("{} is neither true nor false", other.what())),
        }
    }

    fn number(&self) -> Result<f64, EvaluateError> {
        match self {
            Evaluated::Number(number) => Ok(*number),
            other => error(format!("{} is not a number", other.what())),
        }
    }

    fn words(&self) -> Result<&str, EvaluateError> {
        match self {
            Evaluated::Text(text) => Ok(text),
            other => error(format!("{} is not a text", other.what())),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Evaluated::Null => "null",
            Evaluated::Bool(_) => "a truth value",
            Evaluated::Number(_) => "a number",
            Evaluated::Text(text) if text.is_empty() => "an empty text",
            Evaluated::Text(_) => "a text",
            Evaluated::List(_) | Evaluated::Json(Value::Array(_)) => "a list",
            Evaluated::Json(_) => "a mapping",
        }
    }

    /// Its items, where it is a list.
    fn items(&self) -> Option<Result<Vec<Evaluated<'a>>, EvaluateError>> {
        match self {
            Evaluated::List(items) => Some(Ok(items.clone())),
            Evaluated::Json(Value::Array(items)) => Some(items.iter().map(Evaluated::of).collect()),
            Evaluated::Json(_) | Evaluated::Null | Evaluated::Bool(_) | Evaluated::Number(_) | Evaluated::Text(_) => {
                None
            }
        }
    }

    /// Equality; values of different types are not equal (cel-spec, "heterogeneous equality").
    fn same(&self, other: &Evaluated<'a>) -> Result<bool, EvaluateError> {
        if let (Some(left), Some(right)) = (self.items(), other.items()) {
            let (left, right) = (left?, right?);
            return Ok(left.len() == right.len()
                && left.iter().zip(&right).try_fold(true, |so_far, (l, r)| Ok(so_far && l.same(r)?))?);
        }
        Ok(match (self, other) {
            (Evaluated::Json(Value::Object(left)), Evaluated::Json(Value::Object(right))) => {
                left.len() == right.len()
                    && left.iter().try_fold(true, |so_far, (key, l)| match right.get(key) {
                        Some(r) => Ok(so_far && Evaluated::of(l)?.same(&Evaluated::of(r)?)?),
                        None => Ok(false),
                    })?
            }
            (left, right) => left == right,
        })
    }
}

fn exact<'a>(number: f64) -> Answer<'a> {
    if !number.is_finite() {
        return error("a number is too large");
    }
    if number.abs() > EXACT {
        return error("a number is too large to be exact");
    }
    Ok(Evaluated::Number(number))
}

fn value<'a>(tree: &'a Tree, roots: &[(&str, &'a Value)]) -> Answer<'a> {
    match tree {
        Tree::Null => Ok(Evaluated::Null),
        Tree::Bool(truth) => Ok(Evaluated::Bool(*truth)),
        Tree::Number(number) => exact(*number),
        Tree::Text(text) => Ok(Evaluated::Text(Cow::Borrowed(text))),
        Tree::List(items) => items.iter().map(|item| value(item, roots)).collect::<Result<_, _>>().map(Evaluated::List),
        Tree::Root(_, name) => match roots.iter().find(|(root, _)| *root == &**name) {
            Some((_, json)) => Evaluated::of(json),
            None => error(format!("there is no `{name}`")),
        },
        Tree::Field(of, name) => field(&value(of, roots)?, name),
        Tree::Index(of, index) => match value(index, roots)? {
            Evaluated::Text(name) => field(&value(of, roots)?, &name),
            index => nth(&value(of, roots)?, index.number()?),
        },
        Tree::Not(of) => Ok(Evaluated::Bool(!value(of, roots)?.truth()?)),
        Tree::Negate(of) => exact(-value(of, roots)?.number()?),
        Tree::Binary(Operator::And, left, right) => logic(value(left, roots), || value(right, roots), false),
        Tree::Binary(Operator::Or, left, right) => logic(value(left, roots), || value(right, roots), true),
        Tree::Binary(operator, left, right) => binary(*operator, &value(left, roots)?, &value(right, roots)?),
    }
}

fn field<'a>(of: &Evaluated<'a>, name: &str) -> Answer<'a> {
    match of {
        Evaluated::Json(Value::Object(map)) => match map.get(name) {
            Some(json) => Evaluated::of(json),
            None => error(format!("there is no `{name}`")),
        },
        other => error(format!("{} has no `{name}`", other.what())),
    }
}

fn nth<'a>(of: &Evaluated<'a>, index: f64) -> Answer<'a> {
    let Some(items) = of.items() else { return error(format!("{} has no items", of.what())) };
    let mut items = items?;
    let here = index.fract() == 0.0 && index >= 0.0 && index < items.len() as f64;
    if here { Ok(items.swap_remove(index as usize)) } else { error(format!("there is no item {index}")) }
}

/// `&&` and `||` (cel-spec, "logical operators"): whichever side decides does, even if the other is an error.
fn logic<'a>(left: Answer<'a>, right: impl FnOnce() -> Answer<'a>, decides: bool) -> Answer<'a> {
    let left = left.and_then(|left| left.truth());
    if left == Ok(decides) {
        return Ok(Evaluated::Bool(decides));
    }
    if right()?.truth()? == decides {
        return Ok(Evaluated::Bool(decides));
    }
    left.map(|_| Evaluated::Bool(!decides))
}

fn binary<'a>(operator: Operator, left: &Evaluated<'a>, right: &Evaluated<'a>) -> Answer<'a> {
    let truth = match operator {
        Operator::Plus => return plus(left, right),
        Operator::Minus => return exact(left.number()? - right.number()?),
        Operator::Times => return exact(left.number()? * right.number()?),
        Operator::Equal => left.same(right)?,
        Operator::Unequal => !left.same(right)?,
        Operator::Less => order(left, right)?.is_lt(),
        Operator::LessOrEqual => order(left, right)?.is_le(),
        Operator::Greater => order(left, right)?.is_gt(),
        Operator::GreaterOrEqual => order(left, right)?.is_ge(),
        Operator::In => contains(right, left)?,
        Operator::StartsWith => left.words()?.starts_with(right.words()?),
        Operator::EndsWith => left.words()?.ends_with(right.words()?),
        Operator::And => left.truth()? && right.truth()?,
        Operator::Or => left.truth()? || right.truth()?,
    };
    Ok(Evaluated::Bool(truth))
}

fn plus<'a>(left: &Evaluated<'a>, right: &Evaluated<'a>) -> Answer<'a> {
    match (left, right) {
        (Evaluated::Text(left), Evaluated::Text(right)) if left.len() + right.len() > MAX_TEXT => {
            error(format!("a text grows beyond {MAX_TEXT} bytes"))
        }
        (Evaluated::Text(left), Evaluated::Text(right)) => Ok(Evaluated::Text(format!("{left}{right}").into())),
        (left, right) => exact(left.number()? + right.number()?),
    }
}

fn order(left: &Evaluated<'_>, right: &Evaluated<'_>) -> Result<std::cmp::Ordering, EvaluateError> {
    match (left, right) {
        (Evaluated::Number(l), Evaluated::Number(r)) => {
            l.partial_cmp(r).ok_or_else(|| EvaluateError("a number is not finite".to_owned()))
        }
        (Evaluated::Text(l), Evaluated::Text(r)) => Ok(l.cmp(r)),
        (l, r) => error(format!("{} and {} have no order", l.what(), r.what())),
    }
}

/// Whether a list has this item, or a mapping this key.
fn contains<'a>(within: &Evaluated<'a>, item: &Evaluated<'a>) -> Result<bool, EvaluateError> {
    if let Some(items) = within.items() {
        return items?.iter().try_fold(false, |found, one| Ok(found || one.same(item)?));
    }
    match within {
        Evaluated::Json(Value::Object(map)) => Ok(map.contains_key(item.words()?)),
        other => error(format!("{} is neither a list nor a mapping", other.what())),
    }
}
