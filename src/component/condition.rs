//! The `if` clauses of a dependency's `rules` and `matches`, as the component manager evaluates
//! them (`idf_component_tools/manifest/if_parser.py`): `target in [esp32s2, esp32s3]`,
//! `idf_version >=5.3 && target == esp32`.

use super::version::{Spec, Version};
use crate::error::{Error, Result};

/// What the conditions of a build ask for.
#[derive(Debug, Clone)]
pub struct Situation {
    /// The chip, as ESP-IDF calls it: `esp32c3`.
    pub target: String,
    /// ESP-IDF's version.
    pub idf_version: Version,
}

/// A condition that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `left operator right`
    Comparison(Comparison),
    /// `a && b`
    Both(Box<Condition>, Box<Condition>),
    /// `a || b`
    Either(Box<Condition>, Box<Condition>),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    left: String,
    operator: &'static str,
    /// With its brackets, if it is a list.
    right: String,
}

/// The longer ones first, as the reader tries them in turn.
const OPERATORS: [&str; 12] =
    ["<=", "<", ">=", ">", "~=", "~", "==", "!=", "=", "^", "not in", "in"];

/// How deep conditions may be nested in parentheses.
const MAX_DEPTH: usize = 32;

impl Condition {
    /// Reads a condition.
    ///
    /// Of three or more that one operator joins, the component manager looks at the first two only;
    /// so does this, because a lock has to say what the manager will find.
    ///
    /// # Errors
    /// When it is no condition.
    pub fn parse(text: &str) -> Result<Condition> {
        let wrong = || {
            Error::input(format!(
                "{text:?} is not a condition, one like \"target in [esp32, esp32s3]\" was expected"
            ))
        };
        let mut reader = Reader { rest: text, depth: 0 };
        let condition = reader.joined("||").ok_or_else(wrong)?;
        if !reader.rest.trim_start().is_empty() {
            return Err(wrong());
        }
        Ok(condition)
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// When it asks for what a lock cannot depend on: an environment variable. Or when it compares
    /// what cannot be compared.
    pub fn holds(&self, situation: &Situation) -> Result<bool> {
        Ok(match self {
            Condition::Comparison(comparison) => comparison.holds(situation)?,
            Condition::Both(one, other) => one.holds(situation)? && other.holds(situation)?,
            Condition::Either(one, other) => one.holds(situation)? || other.holds(situation)?,
        })
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn take(&mut self, token: &str) -> bool {
        match self.rest.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn joined(&mut self, operator: &str) -> Option<Condition> {
        let mut parts = vec![self.part(operator)?];
        while self.take(operator) {
            parts.push(self.part(operator)?);
        }
        let mut parts = parts.into_iter();
        let first = parts.next()?;
        let Some(second) = parts.next() else { return Some(first) };
        let (first, second) = (Box::new(first), Box::new(second));
        Some(match operator {
            "&&" => Condition::Both(first, second),
            _ => Condition::Either(first, second),
        })
    }

    fn part(&mut self, operator: &str) -> Option<Condition> {
        if operator == "||" {
            return self.joined("&&");
        }
        if self.take("(") {
            self.depth += 1;
            let inside = (self.depth <= MAX_DEPTH).then(|| self.joined("||"))??;
            self.depth -= 1;
            return self.take(")").then_some(inside);
        }
        self.comparison().map(Condition::Comparison)
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let text = self.rest.trim_start();
        let word = |it: char| it.is_ascii_alphanumeric() || "${}_-.".contains(it);
        let end = text.find(|it| !word(it)).unwrap_or(text.len());
        let (left, rest) = text.split_at(end);
        let rest = rest.trim_start();
        let operator = OPERATORS.into_iter().find(|operator| rest.starts_with(operator))?;
        let rest = rest.get(operator.len()..)?.trim_start();
        let value = |text: &str| text.find(|it| "\n\r[]&|()".contains(it)).unwrap_or(text.len());
        let length = match rest.strip_prefix('[') {
            Some(inside) => {
                let end = value(inside);
                (end > 0 && inside.get(end..)?.starts_with(']')).then_some(end + 2)?
            }
            None => value(rest),
        };
        let (right, after) = rest.split_at_checked(length)?;
        self.rest = after;
        let given = !left.is_empty() && !right.trim().is_empty();
        given.then(|| Comparison { left: left.to_owned(), operator, right: right.to_owned() })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Bool(bool),
    Integer(i64),
    Version(Version),
    Text(String),
}

impl Comparison {
    fn holds(&self, situation: &Situation) -> Result<bool> {
        let left = match self.left.as_str() {
            "idf_version" => Value::Version(situation.idf_version.clone()),
            "target" => Value::Text(situation.target.clone()),
            // Values of the configuration are not known yet when the dependencies are solved: the
            // manager leaves such a dependency out.
            name if name.starts_with("$CONFIG{") => return Ok(false),
            other => self.single(other)?,
        };
        if self.right.contains('$') {
            return Err(self.environment());
        }
        if let Value::Version(version) = left {
            let right = self.right.trim();
            let right =
                right.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(right);
            let spec = format!("{}{right}", self.operator).replace(' ', "");
            return Ok(spec.parse::<Spec>().map_err(|error| self.wrong(&error))?.matches(&version));
        }
        if matches!(self.operator, "in" | "not in") {
            let found = self.list()?.contains(&Value::Text(text_of(&left)));
            return Ok(found == (self.operator == "in"));
        }
        if self.left == "target" {
            return match self.operator {
                "==" => Ok(Value::Text(self.text(&self.right)?) == left),
                "!=" => Ok(Value::Text(self.text(&self.right)?) != left),
                _ => Err(self.wrong("a target is compared with ==, !=, in or not in")),
            };
        }
        self.compare(&left)
    }

    fn compare(&self, left: &Value) -> Result<bool> {
        if let Value::Text(left) = left {
            let spec = format!("{}{}", self.operator, self.right).replace(' ', "");
            if let Ok(spec) = spec.parse::<Spec>() {
                let version = left.parse().map_err(|error| self.wrong(&error))?;
                return Ok(spec.matches(&version));
            }
            return self.ordered(left.as_str().cmp(&self.text(&self.right)?));
        }
        match (left, self.single(&self.right)?) {
            (Value::Bool(left), Value::Bool(right)) => self.ordered(left.cmp(&right)),
            (Value::Integer(left), Value::Integer(right)) => self.ordered(left.cmp(&right)),
            _ => Err(self.wrong("its sides are of different kinds")),
        }
    }

    fn ordered(&self, order: std::cmp::Ordering) -> Result<bool> {
        match self.operator {
            "<=" => Ok(order.is_le()),
            "<" => Ok(order.is_lt()),
            ">=" => Ok(order.is_ge()),
            ">" => Ok(order.is_gt()),
            "==" => Ok(order.is_eq()),
            "!=" => Ok(order.is_ne()),
            operator => Err(self.wrong(format!("{operator} compares versions only"))),
        }
    }

    fn list(&self) -> Result<Vec<Value>> {
        let text = self.right.trim();
        let text = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
        text.split(',').map(|item| self.single(item)).collect()
    }

    fn single(&self, text: &str) -> Result<Value> {
        let text = text.trim();
        if text.contains('$') {
            return Err(self.environment());
        }
        let hexadecimal = text.strip_prefix("0x").and_then(|it| i64::from_str_radix(it, 16).ok());
        Ok(match (text, hexadecimal.or_else(|| text.parse().ok()), text.parse()) {
            ("True", ..) => Value::Bool(true),
            ("False", ..) => Value::Bool(false),
            (_, Some(integer), _) => Value::Integer(integer),
            (_, _, Ok(version)) => Value::Version(version),
            _ => Value::Text(self.text(text)?),
        })
    }

    fn text(&self, text: &str) -> Result<String> {
        let text = text.trim();
        match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(inside) if inside.contains(['"', '\\']) => {
                Err(self.wrong("quotation marks and backslashes are not understood in a text"))
            }
            Some(inside) => Ok(inside.to_owned()),
            None => Ok(text.to_owned()),
        }
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Error {
        Error::input(format!("the condition \"{self}\" cannot be decided: {why}"))
    }

    fn environment(&self) -> Error {
        self.wrong("it asks for an environment variable, and a lock must not depend on those")
            .hint("write the value into the manifest")
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.left, self.operator, self.right.trim())
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Integer(integer) => integer.to_string(),
        Value::Version(version) => version.to_string(),
        Value::Text(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> Result<bool> {
        let situation =
            Situation { target: "esp32s3".to_owned(), idf_version: "5.5.1".parse().unwrap() };
        Condition::parse(text)?.holds(&situation)
    }

    #[test]
    fn targets_and_versions_are_compared() {
        for text in [
            "target in [esp32s2, esp32s3, esp32p4]",
            "target == esp32s3",
            "target == \"esp32s3\"",
            "target not in [\"esp32\"]",
            "target != esp32",
            "idf_version >=5.3",
            "idf_version >= 5.3.0, <6",
            "idf_version ~5.5.0",
            "idf_version ^5.0",
            "(target == esp32) || (idf_version == 5.5.1)",
            "target == esp32s3 && idf_version >=5",
        ] {
            assert!(holds(text).unwrap(), "{text}");
        }
        for text in [
            "target in [esp32]",
            "target == esp32",
            "idf_version <5",
            "target == esp32s3 && idf_version <5",
            "$CONFIG{X} == True",
        ] {
            assert!(!holds(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn only_two_of_three_count() {
        assert!(holds("target == esp32s3 && idf_version >=5 && target == esp32").unwrap());
        assert!(!holds("target == esp32 || target == esp32c3 || target == esp32s3").unwrap());
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "",
            "target",
            "target ==",
            "== esp32",
            "target in [",
            "target in []",
            "(target == x",
            "a == b c == d ]",
        ] {
            assert!(Condition::parse(text).is_err(), "{text:?}");
        }
        assert!(Condition::parse(&"(".repeat(100_000)).is_err());
        assert!(holds("target > esp32").is_err());
        let error = holds("${HOME} == x").unwrap_err();
        assert!(error.message().contains("environment variable"), "{error}");
    }
}
