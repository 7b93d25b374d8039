//! Tree to text: an expression that reads back as the same tree, with no parenthesis that it does not need.

use std::fmt::{self, Display, Formatter, Write};

use super::{Operator, Tree};

/// How tightly a tree holds together: whatever is joined by something tighter needs parentheses.
fn rank(tree: &Tree) -> u8 {
    match tree {
        Tree::Binary(operator, ..) => operator.rank(),
        Tree::Not(_) | Tree::Negate(_) => 5,
        Tree::Null
        | Tree::Bool(_)
        | Tree::Number(_)
        | Tree::Text(_)
        | Tree::List(_)
        | Tree::Root(..)
        | Tree::Field(..)
        | Tree::Index(..) => 6,
    }
}

impl Operator {
    fn rank(self) -> u8 {
        match self {
            Operator::Or => 0,
            Operator::And => 1,
            Operator::Equal
            | Operator::Unequal
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual
            | Operator::In => 2,
            Operator::Plus | Operator::Minus => 3,
            Operator::Times => 4,
            Operator::StartsWith | Operator::EndsWith => 6,
        }
    }

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Operator::Or => "||",
            Operator::And => "&&",
            Operator::Equal => "==",
            Operator::Unequal => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::In => "in",
            Operator::Plus => "+",
            Operator::Minus => "-",
            Operator::Times => "*",
            Operator::StartsWith => "startsWith",
            Operator::EndsWith => "endsWith",
        }
    }
}

/// A part, in parentheses where it holds together less tightly than its place needs.
struct Part<'a>(&'a Tree, u8);

impl Display for Part<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if rank(self.0) < self.1 { write!(f, "({})", self.0) } else { self.0.fmt(f) }
    }
}

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Tree::Null => f.write_str("null"),
            Tree::Bool(truth) => write!(f, "{truth}"),
            Tree::Number(number) => write!(f, "{number}"),
            Tree::Text(text) => quoted(text, f),
            Tree::List(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_char(']')
            }
            Tree::Root(_, name) => f.write_str(name),
            Tree::Field(of, name) => write!(f, "{}.{name}", Part(of, 6)),
            Tree::Index(of, index) => write!(f, "{}[{index}]", Part(of, 6)),
            Tree::Not(of) => write!(f, "!{}", Part(of, 5)),
            Tree::Negate(of) => write!(f, "-{}", Part(of, 5)),
            Tree::Binary(operator @ (Operator::StartsWith | Operator::EndsWith), left, right) => {
                write!(f, "{}.{}({right})", Part(left, 6), operator.word())
            }
            Tree::Binary(operator, left, right) => {
                let rank = operator.rank();
                // Comparisons do not chain; of the others, the left one comes first.
                let left_rank = if rank == 2 { rank + 1 } else { rank };
                write!(f, "{} {} {}", Part(left, left_rank), operator.word(), Part(right, rank + 1))
            }
        }
    }
}

fn quoted(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('\'')?;
    for c in text.chars() {
        match c {
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\\' | '\'' => write!(f, "\\{c}")?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('\'')
}

#[cfg(test)]
mod tests {
    use crate::expression::Expression;

    /// Where names stand is no part of what is meant.
    fn meant(text: &str) -> String {
        text.parse::<Expression>().unwrap().tree().to_string()
    }

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        for text in [
            "args.to.endsWith('@acme.example')",
            "!(args.a == 1 || args.b < -2.5) && args['x y'][0] in ['it\\'s', \"two\\n\", 3, null, true]",
            "(args.a + 2) * 3 - (4 - 5) == -(-args.b) || !!args.c",
            "(args.a == 1) == true",
            "('a' + 'b').startsWith('a')",
            "(1).x",
        ] {
            let once = meant(text);
            assert_eq!(meant(&once), once, "{text}");
        }
        assert_eq!(meant("(((args.a)) == (1+(2*3)))"), "args.a == 1 + 2 * 3");
        assert_eq!(meant("1 - (2 - 3)"), "1 - (2 - 3)");
    }

    #[test]
    fn clauses_are_what_is_joined_by_and() {
        let all: Expression = "args.a == 1 && (args.b || args.c) && (args.d && !args.e)".parse().unwrap();
        let clauses: Vec<String> = all.clauses().iter().map(|clause| clause.source().to_owned()).collect();
        assert_eq!(clauses, ["args.a == 1", "args.b || args.c", "args.d", "!args.e"]);
    }
}
