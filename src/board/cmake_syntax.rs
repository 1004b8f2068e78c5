//! The words of a CMake file: commands and their arguments, nothing carried out.

/// Stands in an argument for a dollar sign that begins no variable (`\$`).
pub(super) const DOLLAR: char = '\u{1}';

/// `name(argument…)`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// In lower case: CMake's commands are not case-sensitive.
    pub(super) name: String,
    /// Brackets inside the arguments are arguments of their own.
    pub(super) arguments: Vec<Argument>,
}

/// One argument, its variables not yet replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) text: String,
    pub(super) quoted: bool,
}

/// The commands of a file. What is not finished at the end of the text is left out.
pub(super) fn parse(text: &str) -> Vec<Command> {
    let mut reader = Reader { rest: text };
    let mut commands = Vec::new();
    while let Some(command) = reader.command() {
        commands.push(command);
    }
    commands
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn command(&mut self) -> Option<Command> {
        let name = loop {
            self.skip_space();
            let name = self.take_while(|c| c.is_alphanumeric() || c == '_');
            self.skip_space();
            if self.take('(') {
                break name;
            }
            // Not CMake: step over it, so that what follows is still read.
            self.next()?;
        };
        let mut arguments = Vec::new();
        let mut depth = 0usize;
        loop {
            self.skip_space();
            let first = self.rest.chars().next()?;
            match first {
                '(' => {
                    self.next();
                    depth += 1;
                    arguments.push(Argument { text: "(".to_owned(), quoted: false });
                }
                ')' => {
                    self.next();
                    if depth == 0 {
                        return Some(Command { name: name.to_lowercase(), arguments });
                    }
                    depth -= 1;
                    arguments.push(Argument { text: ")".to_owned(), quoted: false });
                }
                '"' => {
                    self.next();
                    arguments.push(Argument { text: self.quoted()?, quoted: true });
                }
                _ => match self.bracket() {
                    Some(text) => arguments.push(Argument { text, quoted: true }),
                    None => arguments.push(Argument { text: self.unquoted()?, quoted: false }),
                },
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn take(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) =
            self.rest.split_at(self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Steps over white space and comments.
    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.take('#') {
                return;
            }
            if self.bracket().is_none() {
                self.take_while(|c| c != '\n');
            }
        }
    }

    /// `[[text]]`, `[=[text]=]` and so on.
    fn bracket(&mut self) -> Option<String> {
        let inner = self.rest.strip_prefix('[')?;
        let equals = inner.len() - inner.trim_start_matches('=').len();
        let inner = inner.get(equals..)?.strip_prefix('[')?;
        let (text, rest) = inner.split_once(&format!("]{}]", "=".repeat(equals)))?;
        self.rest = rest;
        Some(text.to_owned())
    }

    fn quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.next()? {
                '"' => return Some(text),
                '\\' => text.extend(self.escaped()),
                other => text.push(other),
            }
        }
    }

    fn unquoted(&mut self) -> Option<String> {
        let mut text = String::new();
        while let Some(next) = self.rest.chars().next() {
            match next {
                '(' | ')' | '#' => break,
                _ if next.is_whitespace() => break,
                '\\' => {
                    self.next();
                    text.extend(self.escaped());
                }
                // `NAME="some text"`, as compiler definitions are written.
                '"' => {
                    self.next();
                    text.push('"');
                    text.push_str(&self.quoted()?);
                    text.push('"');
                }
                _ => text.extend(self.next()),
            }
        }
        Some(text)
    }

    /// What a backslash and the next character stand for; nothing at the end of a line.
    fn escaped(&mut self) -> Option<char> {
        match self.next()? {
            '\n' => None,
            '$' => Some(DOLLAR),
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            other => Some(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        parse(text)
            .into_iter()
            .map(|command| {
                let arguments: Vec<String> = command
                    .arguments
                    .into_iter()
                    .map(|a| if a.quoted { format!("«{}»", a.text) } else { a.text })
                    .collect();
                format!("{}({})", command.name, arguments.join(","))
            })
            .collect()
    }

    #[test]
    fn arguments_comments_and_quotes_are_told_apart() {
        assert_eq!(
            words(
                "# note\nSET(A b \"c d\" # not ) this\n  e)#[[ a\nblock ]]\nif (NOT (X AND Y))\n\
                 list(APPEND D N=\"two words\" [=[raw ]] ]=] a\\ b)endif()"
            ),
            [
                "set(A,b,«c d»,e)",
                "if(NOT,(,X,AND,Y,))",
                "list(APPEND,D,N=\"two words\",«raw ]] »,a b)",
                "endif()"
            ]
        );
    }

    #[test]
    fn text_that_is_not_cmake_ends() {
        assert_eq!(words("set(A b"), Vec::<String>::new());
        assert_eq!(words("set(A \"b)"), Vec::<String>::new());
        assert_eq!(words("} é ] set(A b) ("), ["set(A,b)", "()"].get(..1).unwrap());
        assert_eq!(words(""), Vec::<String>::new());
    }
}
