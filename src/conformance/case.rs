//! A case: its id, what it says, the clauses that it binds, and its body.

use std::future::Future;
use std::pin::Pin;

use super::failure::Verdict;

/// What a case runs as.
pub(super) type Running = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// What a case needs beyond a server that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing.
    Nothing,
    /// Time: half a minute and more.
    Time,
    /// A command that kills the server and starts it again.
    Restart,
}

/// One thing that an implementation is held to, in the words of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Title {
    /// Its name, for reports, `--only` and exclusions.
    pub id: &'static str,
    /// What must be so, in one sentence.
    pub title: &'static str,
    /// The clauses that say so, with blanks between them.
    pub clauses: &'static str,
}

/// A case, run over a `T`: the server under test, or a stage for the client under test.
pub(super) struct Case<T> {
    pub(super) title: Title,
    pub(super) needs: Needs,
    pub(super) run: fn(T) -> Running,
}

impl<T> Clone for Case<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Case<T> {}

/// The table of one file of cases over a type: id, title, clauses, what it needs, the function.
macro_rules! cases {
    ($over:ty: $($id:literal $title:literal $clauses:literal $needs:ident $run:ident;)*) => {
        pub(super) const CASES: &[$crate::conformance::case::Case<$over>] = &[$(
            $crate::conformance::case::Case {
                title: $crate::conformance::case::Title { id: $id, title: $title, clauses: $clauses },
                needs: $crate::conformance::case::Needs::$needs,
                run: |over| Box::pin($run(over)),
            },
        )*];
    };
}
pub(super) use cases;

/// All cases of both roles, as `conformance/cases.tsv` holds them.
pub fn table() -> String {
    let mut text = String::new();
    for Title { id, title, clauses } in super::server_cases().chain(super::client_cases()) {
        text.push_str(&[id, title, clauses].join("\t"));
        text.push('\n');
    }
    text
}
