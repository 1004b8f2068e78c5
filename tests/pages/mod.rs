//! The pages as a reader walks through them: their blocks of commands, what these print, and where they are run.
//!
//! A block is marked by its language: `console` is a session, commands after `$ ` and what they print; `sh` is a
//! script. Both are run. Comments on the lines before a block, which no reader sees, say what is special about it:
//!
//! - `<!-- not run: REASON -->`: the suite can't;
//! - `<!-- exit code: N -->`: how its last command ends, if not well;
//! - `<!-- numbers vary -->`: with compilers, releases or machines; any number is as good as another.
//!
//! In what is printed, `…` stands for anything, and on a line of its own for any lines.

pub mod block;
pub mod esp;
pub mod place;
pub mod said;
