//! Tokens to tree: a recursive descent, bounded in depth.

use super::token::{Token, tokens};
use super::{ExpressionError, MAX_LENGTH, Operator, Tree};

/// How deep parentheses, lists, indices and signs may nest.
const MAX_DEPTH: usize = 24;
pub(super) fn parse(text: &str) -> Result<Tree, ExpressionError> {
    if text.len() > MAX_LENGTH {
        return Err(ExpressionError::at(MAX_LENGTH, format!("an expression has at most {MAX_LENGTH} bytes")));
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let tree = parser.or()?;
    parser.end()?;
    Ok(tree)
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn offset(&self) -> usize {
        self.tokens[self.next].0
    }

    /// Takes the next token; the end is never passed.
    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn takes(&mut self, sign: &str) -> bool {
        let here = matches!(self.peek(), Token::Sign(found) if *found == sign);
        if here {
            self.take();
        }
        here
    }

    fn expect(&mut self, sign: &str, to: &str) -> Result<(), ExpressionError> {
        if self.takes(sign) { Ok(()) } else { Err(self.wrong(&format!("expected `{sign}` {to}"))) }
    }

    fn wrong(&self, expected: &str) -> ExpressionError {
        let found = match self.peek() {
            Token::Number(number) => format!("`{number}`"),
            Token::Text(_) => "a text".to_owned(),
            Token::Word(word) => format!("`{word}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end".to_owned(),
        };
        ExpressionError::at(self.offset(), format!("{expected}, found {found}"))
    }

    fn end(&self) -> Result<(), ExpressionError> {
        match self.peek() {
            Token::End => Ok(()),
            Token::Number(_) | Token::Text(_) | Token::Word(_) | Token::Sign(_) => {
                Err(self.wrong("expected an operator or the end"))
            }
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, ExpressionError>) -> Result<T, ExpressionError> {
        if self.depth == MAX_DEPTH {
            return Err(ExpressionError::at(self.offset(), format!("this nests deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn or(&mut self) -> Result<Tree, ExpressionError> {
        let mut left = self.and()?;
        while self.takes("||") {
            left = binary(Operator::Or, left, self.and()?);
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Tree, ExpressionError> {
        let mut left = self.comparison()?;
        while self.takes("&&") {
            left = binary(Operator::And, left, self.comparison()?);
        }
        Ok(left)
    }

    fn comparator(&mut self) -> Option<Operator> {
        let operator = match self.peek() {
            Token::Sign("==") => Operator::Equal,
            Token::Sign("!=") => Operator::Unequal,
            Token::Sign("<") => Operator::Less,
            Token::Sign("<=") => Operator::LessOrEqual,
            Token::Sign(">") => Operator::Greater,
            Token::Sign(">=") => Operator::GreaterOrEqual,
            Token::Word(word) if word == "in" => Operator::In,
            Token::Sign(_) | Token::Word(_) | Token::Number(_) | Token::Text(_) | Token::End => return None,
        };
        self.take();
        Some(operator)
    }

    fn comparison(&mut self) -> Result<Tree, ExpressionError> {
        let left = self.sum()?;
        let Some(operator) = self.comparator() else { return Ok(left) };
        let compared = binary(operator, left, self.sum()?);
        let offset = self.offset();
        match self.comparator() {
            None => Ok(compared),
            Some(_) => Err(ExpressionError::at(offset, "comparisons do not chain; join two with `&&`")),
        }
    }

    fn sum(&mut self) -> Result<Tree, ExpressionError> {
        let mut left = self.product()?;
        loop {
            if self.takes("+") {
                left = binary(Operator::Plus, left, self.product()?);
            } else if self.takes("-") {
                left = binary(Operator::Minus, left, self.product()?);
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<Tree, ExpressionError> {
        let mut left = self.unary()?;
        while self.takes("*") {
            left = binary(Operator::Times, left, self.unary()?);
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Tree, ExpressionError> {
        if self.takes("!") {
            self.deeper(Self::unary).map(|of| Tree::Not(Box::new(of)))
        } else if self.takes("-") {
            self.deeper(Self::unary).map(|of| Tree::Negate(Box::new(of)))
        } else {
            self.member()
        }
    }

    fn member(&mut self) -> Result<Tree, ExpressionError> {
        let mut of = self.primary()?;
        loop {
            if self.takes("[") {
                let index = self.deeper(Self::or)?;
                self.expect("]", "to close the index")?;
                of = Tree::Index(Box::new(of), Box::new(index));
            } else if self.takes(".") {
                of = self.dotted(of)?;
            } else {
                return Ok(of);
            }
        }
    }

    /// What follows a dot: a field, or one of the two tests of texts.
    fn dotted(&mut self, of: Tree) -> Result<Tree, ExpressionError> {
        let offset = self.offset();
        let Token::Word(name) = self.peek().clone() else {
            return Err(self.wrong("expected a field's name after `.`"));
        };
        self.take();
        if !self.takes("(") {
            return Ok(Tree::Field(Box::new(of), name.into()));
        }
        let operator = match name.as_str() {
            "startsWith" => Operator::StartsWith,
            "endsWith" => Operator::EndsWith,
            other => return Err(ExpressionError::at(offset, no_function(other))),
        };
        let argument = self.deeper(Self::or)?;
        self.expect(")", "after the one argument")?;
        Ok(binary(operator, of, argument))
    }

    fn primary(&mut self) -> Result<Tree, ExpressionError> {
        let offset = self.offset();
        match self.peek().clone() {
            Token::Number(number) => {
                self.take();
                Ok(Tree::Number(number))
            }
            Token::Text(text) => {
                self.take();
                Ok(Tree::Text(text.into()))
            }
            Token::Word(word) if word != "in" => {
                self.take();
                self.word(offset, word)
            }
            Token::Sign("(") => {
                self.take();
                let inner = self.deeper(Self::or)?;
                self.expect(")", "to close the parenthesis")?;
                Ok(inner)
            }
            Token::Sign("[") => {
                self.take();
                self.deeper(Self::list)
            }
            Token::Sign(_) | Token::Word(_) | Token::End => Err(self.wrong("expected a value")),
        }
    }

    fn word(&mut self, offset: usize, word: String) -> Result<Tree, ExpressionError> {
        if matches!(self.peek(), Token::Sign("(")) {
            return Err(ExpressionError::at(offset, no_function(&word)));
        }
        Ok(match word.as_str() {
            "true" => Tree::Bool(true),
            "false" => Tree::Bool(false),
            "null" => Tree::Null,
            _ => Tree::Root(offset, word.into()),
        })
    }

    fn list(&mut self) -> Result<Tree, ExpressionError> {
        let mut items = Vec::new();
        while !self.takes("]") {
            items.push(self.or()?);
            if !self.takes(",") {
                self.expect("]", "or `,` after a list's item")?;
                break;
            }
        }
        Ok(Tree::List(items))
    }
}

fn no_function(name: &str) -> String {
    format!("there is no `{name}(…)`; the functions are TEXT.startsWith(TEXT) and TEXT.endsWith(TEXT)")
}

fn binary(operator: Operator, left: Tree, right: Tree) -> Tree {
    Tree::Binary(operator, Box::new(left), Box::new(right))
}
