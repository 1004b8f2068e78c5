//! Conditionals of a build file whose outcome may not be known without running the build.

/// Whether something holds. What depends on a compiler or on the machine is [`Truth::Maybe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    No,
    Maybe,
    Yes,
}

impl Truth {
    pub(super) fn and(self, other: Truth) -> Truth {
        match (self, other) {
            (Truth::No, _) | (_, Truth::No) => Truth::No,
            (Truth::Yes, Truth::Yes) => Truth::Yes,
            _ => Truth::Maybe,
        }
    }

    pub(super) fn or(self, other: Truth) -> Truth {
        self.not().and(other.not()).not()
    }

    pub(super) fn not(self) -> Truth {
        match self {
            Truth::No => Truth::Yes,
            Truth::Maybe => Truth::Maybe,
            Truth::Yes => Truth::No,
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Truth {
        if value { Truth::Yes } else { Truth::No }
    }
}

/// The conditionals that are open at one place of a file, outermost first.
#[derive(Debug, Default)]
pub(super) struct Branches(Vec<Branch>);

#[derive(Debug)]
struct Branch {
    /// Whether the part that is being read counts.
    now: Truth,
    /// Whether this part or an earlier one of the same conditional counts.
    taken: Truth,
}

impl Branches {
    /// Whether what is read at this place counts.
    pub(super) fn state(&self) -> Truth {
        self.0.iter().fold(Truth::Yes, |state, branch| state.and(branch.now))
    }

    /// `if`: opens a conditional.
    pub(super) fn open(&mut self, condition: Truth) {
        self.0.push(Branch { now: condition, taken: condition });
    }

    /// `else if`, or `else` with a condition that holds. Without an `if` it does nothing.
    pub(super) fn otherwise(&mut self, condition: Truth) {
        if let Some(branch) = self.0.last_mut() {
            branch.now = branch.taken.not().and(condition);
            branch.taken = branch.taken.or(condition);
        }
    }

    /// `endif`.
    pub(super) fn close(&mut self) {
        self.0.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_condition_makes_all_its_parts_unknown() {
        let mut branches = Branches::default();
        branches.open(Truth::Maybe);
        assert_eq!(branches.state(), Truth::Maybe);
        branches.otherwise(Truth::Yes);
        assert_eq!(branches.state(), Truth::Maybe);
        branches.close();
        assert_eq!(branches.state(), Truth::Yes);
    }

    #[test]
    fn what_follows_a_taken_part_does_not_count() {
        let mut branches = Branches::default();
        branches.open(Truth::No);
        branches.otherwise(Truth::Yes);
        assert_eq!(branches.state(), Truth::Yes);
        branches.otherwise(Truth::Maybe);
        assert_eq!(branches.state(), Truth::No);
        branches.otherwise(Truth::Yes);
        assert_eq!(branches.state(), Truth::No);
    }

    #[test]
    fn an_outer_conditional_that_does_not_count_hides_the_inner_ones() {
        let mut branches = Branches::default();
        branches.open(Truth::No);
        branches.open(Truth::Yes);
        assert_eq!(branches.state(), Truth::No);
        branches.close();
        branches.close();
        branches.close();
        assert_eq!(branches.state(), Truth::Yes);
    }
}
