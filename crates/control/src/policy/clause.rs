//! A clause of `tools[].when`, as a condition of Cedar over the types of that tool's arguments. The condition is true
//! exactly where the clause is true: where it is false, or an argument that it needs is missing, the condition is false
//! and never an error. What Cedar has no words for is said, not guessed. Must not know any call.

use domain::expression::{Expression, Operator, Tree};

use super::shape::{Fields, Shape, decimal_of};

/// A condition, and its opposite: what is neither true nor false makes both of them false.
struct Condition {
    is: String,
    is_not: String,
}

/// Something that conditions compare.
#[derive(Clone)]
struct Term {
    kind: Kind,
    /// How Cedar writes it.
    cedar: String,
    /// What must hold for it to be there.
    needs: Vec<String>,
}

#[derive(Clone)]
enum Kind {
    /// An argument, or what is made of arguments.
    Of(Shape),
    /// A number that is written out: whole or decimal, as whatever it is compared with.
    Number(f64),
    /// A text that is written out.
    Text(String),
    /// True or false, written out.
    Truth,
    /// A list that is written out.
    List(Vec<Term>),
}

/// What Cedar must find true of a call's context for the clause to hold.
///
/// # Errors
/// In one sentence, why the clause cannot be asked about arguments of these types.
pub(crate) fn condition(clause: &Expression, input: &Fields) -> Result<String, String> {
    truth(clause.tree(), input).map(|condition| condition.is)
}

fn truth(tree: &Tree, input: &Fields) -> Result<Condition, String> {
    match tree {
        Tree::Bool(truth) => Ok(Condition { is: truth.to_string(), is_not: (!truth).to_string() }),
        Tree::Not(of) => truth(of, input).map(|Condition { is, is_not }| Condition { is: is_not, is_not: is }),
        Tree::Binary(Operator::And, left, right) => {
            let (left, right) = (truth(left, input)?, truth(right, input)?);
            Ok(Condition { is: both(&left.is, &right.is), is_not: either(&left.is_not, &right.is_not) })
        }
        Tree::Binary(Operator::Or, left, right) => {
            let (left, right) = (truth(left, input)?, truth(right, input)?);
            Ok(Condition { is: either(&left.is, &right.is), is_not: both(&left.is_not, &right.is_not) })
        }
        Tree::Binary(Operator::In, left, right) => within(tree, left, right, input),
        Tree::Binary(
            operator @ (Operator::Equal
            | Operator::Unequal
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual),
            left,
            right,
        ) => compared(tree, *operator, [term(left, input)?, term(right, input)?]),
        Tree::Binary(operator @ (Operator::StartsWith | Operator::EndsWith), of, part) => {
            let (of, part) = (term(of, input)?, term(part, input)?);
            let Kind::Text(part) = part.kind else {
                return Err(format!("`{tree}` compares with a text that is not written out"));
            };
            let ends = *operator == Operator::EndsWith;
            match &of.kind {
                Kind::Of(Shape::Text) => Ok(of.asked(format!("{} like {}", of.cedar, pattern(&part, ends)))),
                Kind::Text(text) => Ok(fixed(if ends { text.ends_with(&part) } else { text.starts_with(&part) })),
                Kind::Of(_) | Kind::Number(_) | Kind::Truth | Kind::List(_) => {
                    Err(format!("`{tree}` asks for the ends of {}", of.what()))
                }
            }
        }
        Tree::Root(..) | Tree::Field(..) | Tree::Index(..) => {
            let of = term(tree, input)?;
            match of.kind {
                Kind::Of(Shape::Truth) => Ok(of.asked(of.cedar.clone())),
                Kind::Of(_) | Kind::Number(_) | Kind::Text(_) | Kind::Truth | Kind::List(_) => {
                    Err(format!("`{tree}` is {}, and neither true nor false", of.what()))
                }
            }
        }
        Tree::Null
        | Tree::Number(_)
        | Tree::Text(_)
        | Tree::List(_)
        | Tree::Negate(_)
        | Tree::Binary(Operator::Plus | Operator::Minus | Operator::Times, ..) => {
            Err(format!("`{tree}` is neither true nor false"))
        }
    }
}

fn both(left: &str, right: &str) -> String {
    format!("({left} && {right})")
}

fn either(left: &str, right: &str) -> String {
    format!("({left} || {right})")
}

fn fixed(truth: bool) -> Condition {
    Condition { is: truth.to_string(), is_not: (!truth).to_string() }
}

/// A text that begins or ends with this, as a pattern of Cedar.
fn pattern(part: &str, ends: bool) -> String {
    let quoted = format!("{part:?}").replace('*', "\\*");
    let inner = &quoted[1..quoted.len() - 1];
    if ends { format!("\"*{inner}\"") } else { format!("\"{inner}*\"") }
}

impl Term {
    fn of(shape: Shape, cedar: String, needs: Vec<String>) -> Self {
        Term { kind: Kind::Of(shape), cedar, needs }
    }

    fn written(kind: Kind, cedar: String) -> Self {
        Term { kind, cedar, needs: Vec::new() }
    }

    /// Something asked about it, where it is there.
    fn asked(&self, question: String) -> Condition {
        asked(&self.needs, question)
    }

    fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Of(Shape::Text) | Kind::Text(_) => "a text",
            Kind::Of(Shape::Whole) => "a whole number",
            Kind::Of(Shape::Decimal) | Kind::Number(_) => "a number",
            Kind::Of(Shape::Truth) | Kind::Truth => "a truth value",
            Kind::Of(Shape::Set(_)) | Kind::List(_) => "a list",
            Kind::Of(Shape::Record(_)) => "a mapping",
        }
    }

    /// As Cedar writes it beside something of this shape; `None`: it is of another.
    fn beside(&self, shape: &Shape) -> Option<String> {
        match (&self.kind, shape) {
            (Kind::Of(own), shape) if own == shape => Some(self.cedar.clone()),
            (Kind::Number(number), Shape::Whole) if number.fract() == 0.0 => Some(format!("{number:.0}")),
            (Kind::Number(number), Shape::Decimal) => decimal_of(*number).map(|text| format!("decimal({text:?})")),
            (Kind::Text(_), Shape::Text) | (Kind::Truth, Shape::Truth) => Some(self.cedar.clone()),
            (Kind::Of(_) | Kind::Number(_) | Kind::Text(_) | Kind::Truth | Kind::List(_), _) => None,
        }
    }
}

fn asked(needs: &[String], question: String) -> Condition {
    let there: String = needs.iter().map(|need| format!("{need} && ")).collect();
    Condition { is: format!("({there}{question})"), is_not: format!("({there}!({question}))") }
}

fn needs(left: &Term, right: &Term) -> Vec<String> {
    left.needs.iter().chain(&right.needs).cloned().collect()
}

/// The shape that both are of, where at least one is made of arguments.
fn shape_of([left, right]: [&Term; 2]) -> Option<Shape> {
    match (&left.kind, &right.kind) {
        (Kind::Of(shape), _) | (_, Kind::Of(shape)) => Some(shape.clone()),
        (Kind::Number(_) | Kind::Text(_) | Kind::Truth | Kind::List(_), _) => None,
    }
}

fn compared(tree: &Tree, operator: Operator, [left, right]: [Term; 2]) -> Result<Condition, String> {
    let differ = || format!("`{tree}` compares {} with {}, which Cedar cannot", left.what(), right.what());
    let Some(shape) = shape_of([&left, &right]) else {
        return Err(format!("`{tree}` reads no argument"));
    };
    let (Some(l), Some(r)) = (left.beside(&shape), right.beside(&shape)) else { return Err(differ()) };
    let same = matches!(operator, Operator::Equal | Operator::Unequal);
    let question = match (&shape, operator) {
        (Shape::Set(_) | Shape::Record(_), _) => return Err(format!("`{tree}` compares {} as a whole", left.what())),
        (_, Operator::Equal) => format!("{l} == {r}"),
        (_, Operator::Unequal) => format!("{l} != {r}"),
        (Shape::Whole, _) => format!("{l} {} {r}", operator.word()),
        (Shape::Decimal, Operator::Less) => format!("{l}.lessThan({r})"),
        (Shape::Decimal, Operator::LessOrEqual) => format!("{l}.lessThanOrEqual({r})"),
        (Shape::Decimal, Operator::Greater) => format!("{l}.greaterThan({r})"),
        (Shape::Decimal, _) => format!("{l}.greaterThanOrEqual({r})"),
        (Shape::Text | Shape::Truth, _) => return Err(format!("`{tree}`: Cedar knows no order of {}", left.what())),
    };
    debug_assert!(same || matches!(shape, Shape::Whole | Shape::Decimal), "only numbers have an order");
    Ok(asked(&needs(&left, &right), question))
}

/// `ITEM in LIST`, or `'field' in MAPPING`.
fn within(tree: &Tree, item: &Tree, of: &Tree, input: &Fields) -> Result<Condition, String> {
    let (item, of) = (term(item, input)?, term(of, input)?);
    let cannot = || Err(format!("`{tree}` looks for {} in {}, which Cedar cannot", item.what(), of.what()));
    match (&item.kind, &of.kind) {
        (Kind::Text(name), Kind::Of(Shape::Record(fields))) => match fields.get(name) {
            None => Err(format!("`{tree}`: {}", unknown(name, fields))),
            Some(_) => Ok(of.asked(format!("{} has {}", of.cedar, key(name)))),
        },
        (_, Kind::Of(Shape::Set(shape))) => match item.beside(shape) {
            Some(one) => Ok(asked(&needs(&of, &item), format!("{}.contains({one})", of.cedar))),
            None => cannot(),
        },
        (Kind::Of(shape), Kind::List(items)) => {
            let all: Option<Vec<String>> = items.iter().map(|one| one.beside(shape)).collect();
            let Some(all) = all else { return cannot() };
            let needs: Vec<String> =
                item.needs.iter().chain(items.iter().flat_map(|one| &one.needs)).cloned().collect();
            // Cedar gives an empty list no type.
            let found = match all.is_empty() {
                true => "false".to_owned(),
                false => format!("[{}].contains({})", all.join(", "), item.cedar),
            };
            Ok(asked(&needs, found))
        }
        (Kind::Of(_) | Kind::Number(_) | Kind::Text(_) | Kind::Truth | Kind::List(_), _) => cannot(),
    }
}

fn term(tree: &Tree, input: &Fields) -> Result<Term, String> {
    match tree {
        Tree::Null => Err("`null` has no word in Cedar; write `'NAME' in args` to ask whether it is there".to_owned()),
        Tree::Bool(truth) => Ok(Term::written(Kind::Truth, truth.to_string())),
        Tree::Number(number) => Ok(Term::written(Kind::Number(*number), number.to_string())),
        Tree::Text(text) => Ok(Term::written(Kind::Text(text.to_string()), format!("{text:?}"))),
        Tree::List(items) => {
            let items = items.iter().map(|item| term(item, input)).collect::<Result<Vec<_>, _>>()?;
            Ok(Term::written(Kind::List(items), String::new()))
        }
        Tree::Root(..) => Ok(Term::of(Shape::Record(input.clone()), "context.input".to_owned(), Vec::new())),
        Tree::Field(of, name) => field(tree, &term(of, input)?, name),
        Tree::Index(of, name) => {
            let Tree::Text(name) = &**name else {
                return Err(format!("`{tree}`: Cedar's lists have no order; write `VALUE in LIST`"));
            };
            field(tree, &term(of, input)?, name)
        }
        Tree::Negate(of) => {
            let of = term(of, input)?;
            match of.kind {
                Kind::Number(number) => Ok(Term::written(Kind::Number(-number), (-number).to_string())),
                Kind::Of(Shape::Whole) => Ok(Term { cedar: format!("(-{})", of.cedar), ..of }),
                Kind::Of(_) | Kind::Text(_) | Kind::Truth | Kind::List(_) => Err(no_sums(tree, &of)),
            }
        }
        Tree::Binary(operator @ (Operator::Plus | Operator::Minus | Operator::Times), left, right) => {
            sum(tree, *operator, [term(left, input)?, term(right, input)?])
        }
        Tree::Not(_) | Tree::Binary(..) => {
            Err(format!("`{tree}` is compared with something; join what is true or false by `&&`, `||` and `!`"))
        }
    }
}

fn no_sums(tree: &Tree, of: &Term) -> String {
    format!("`{tree}`: Cedar reckons with whole numbers only, and this is {}", of.what())
}

fn sum(tree: &Tree, operator: Operator, [left, right]: [Term; 2]) -> Result<Term, String> {
    match (&left.kind, &right.kind) {
        (Kind::Number(l), Kind::Number(r)) => {
            let number = match operator {
                Operator::Plus => l + r,
                Operator::Minus => l - r,
                _times => l * r,
            };
            return Ok(Term::written(Kind::Number(number), number.to_string()));
        }
        (Kind::Text(l), Kind::Text(r)) if operator == Operator::Plus => {
            let text = format!("{l}{r}");
            return Ok(Term::written(Kind::Text(text.clone()), format!("{text:?}")));
        }
        _ => {}
    }
    for one in [&left, &right] {
        if one.beside(&Shape::Whole).is_none() {
            return Err(no_sums(tree, one));
        }
    }
    let written = [&left, &right].map(|one| one.beside(&Shape::Whole).unwrap_or_default());
    let cedar = format!("({} {} {})", written[0], operator.word(), written[1]);
    Ok(Term::of(Shape::Whole, cedar, needs(&left, &right)))
}

fn field(tree: &Tree, of: &Term, name: &str) -> Result<Term, String> {
    let Kind::Of(Shape::Record(fields)) = &of.kind else {
        return Err(format!("`{tree}`: {} has no `{name}`", of.what()));
    };
    let Some(field) = fields.get(name) else { return Err(format!("`{tree}`: {}", unknown(name, fields))) };
    let mut needs = of.needs.clone();
    if !field.required {
        needs.push(format!("{} has {}", of.cedar, key(name)));
    }
    let cedar = if plain(name) { format!("{}.{name}", of.cedar) } else { format!("{}[{name:?}]", of.cedar) };
    Ok(Term::of(field.shape.clone(), cedar, needs))
}

fn unknown(name: &str, fields: &Fields) -> String {
    let names: Vec<String> = fields.keys().take(12).map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return format!("no argument of the tool is called `{name}`, as far as its definition is known here");
    }
    format!("no argument of a type that Cedar knows is called `{name}`; there are {}", names.join(", "))
}

fn key(name: &str) -> String {
    if plain(name) { name.to_owned() } else { format!("{name:?}") }
}

/// Whether a name is written without quotes.
fn plain(name: &str) -> bool {
    const KEPT: [&str; 10] = ["true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"];
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    letters && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !KEPT.contains(&name)
}
