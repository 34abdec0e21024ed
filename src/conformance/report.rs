//! What a run found: as text, and as JUnit XML.

use std::fmt::Write as _;
use std::time::Duration;

use super::case::Title;
use super::exclusions::Exclusions;

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is as the specification says.
    Passed,
    /// It is not: what is, in one line.
    Failed(String),
    /// It was not run: why.
    Skipped(&'static str),
    /// It failed, and need not pass: the reason of the file, and what failed.
    Excluded(String, String),
    /// It passed, though it is excluded: the file is out of date.
    ExcludedInVain,
}

/// A case and what became of it.
#[derive(Debug, Clone)]
pub struct Line {
    /// The case.
    pub case: Title,
    /// What became of it.
    pub finding: Finding,
    /// How long it took.
    pub took: Duration,
    /// Of a case that failed, the last lines that the program under test wrote to stderr.
    pub stderr: Vec<String>,
}

impl Line {
    /// Whether it counts against the one under test.
    pub const fn is_failure(&self) -> bool {
        matches!(self.finding, Finding::Failed(_) | Finding::ExcludedInVain)
    }

    /// The same, with the file's exclusions taken into account.
    #[must_use]
    pub(super) fn with(mut self, exclusions: &Exclusions) -> Self {
        if let Some(reason) = exclusions.reason(self.case.id) {
            self.finding = match self.finding {
                Finding::Failed(what) => Finding::Excluded(reason.to_owned(), what),
                Finding::Passed => Finding::ExcludedInVain,
                other => other,
            };
        }
        self
    }
}

/// What a run found.
#[derive(Debug, Clone)]
pub struct Report {
    /// Who was tested: `server` or `client`.
    pub role: &'static str,
    /// Case by case, in the order of the table.
    pub lines: Vec<Line>,
    /// How long all of it took.
    pub took: Duration,
}

impl Report {
    /// Whether nothing counts against the one under test.
    pub fn is_clean(&self) -> bool {
        !self.lines.iter().any(Line::is_failure)
    }

    fn count(&self, is_so: impl Fn(&Finding) -> bool) -> usize {
        self.lines.iter().filter(|line| is_so(&line.finding)).count()
    }

    /// For people: what failed, what was not run, and the counts; each case if `all`.
    pub fn text(&self, all: bool) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let Line { case: Title { id, title, clauses }, finding, took, stderr } = line;
            let _ = match finding {
                Finding::Passed if !all => Ok(()),
                Finding::Passed => {
                    writeln!(text, "passed    {id}  {title} ({clauses}; {} ms)", took.as_millis())
                }
                Finding::Failed(what) => {
                    writeln!(text, "FAILED    {id}  {title} ({clauses})\n          {what}")
                }
                Finding::Skipped(why) => writeln!(text, "not run   {id}  {why}"),
                Finding::Excluded(reason, what) => {
                    writeln!(text, "excluded  {id}  {reason}\n          {what}")
                }
                Finding::ExcludedInVain => {
                    writeln!(text, "FAILED    {id}  is excluded, but passes: take it out of the file")
                }
            };
            for said in stderr {
                let _ = writeln!(text, "          stderr: {said}");
            }
        }
        let failed = self.lines.iter().filter(|line| line.is_failure()).count();
        let _ = writeln!(
            text,
            "{} passed, {failed} failed, {} excluded, {} not run, in {:.1} s",
            self.count(|finding| *finding == Finding::Passed),
            self.count(|finding| matches!(finding, Finding::Excluded(..))),
            self.count(|finding| matches!(finding, Finding::Skipped(_))),
            self.took.as_secs_f64()
        );
        text
    }

    /// For machines that collect results of tests.
    pub fn junit(&self) -> String {
        let failed = self.lines.iter().filter(|line| line.is_failure()).count();
        let skipped = self.count(|finding| matches!(finding, Finding::Skipped(_) | Finding::Excluded(..)));
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            xml,
            "<testsuite name=\"blazedb conformance {}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\" time=\"{:.3}\">",
            self.role,
            self.lines.len(),
            self.took.as_secs_f64()
        );
        for line in &self.lines {
            let Title { id, title, clauses } = line.case;
            let group = id.split('.').next().unwrap_or_default();
            let _ = write!(
                xml,
                "  <testcase classname=\"{}.{group}\" name=\"{}\" time=\"{:.3}\">",
                self.role,
                escaped(&format!("{id}: {title} ({clauses})")),
                line.took.as_secs_f64()
            );
            let _ = match &line.finding {
                Finding::Passed => Ok(()),
                Finding::Failed(what) => write!(xml, "<failure message=\"{}\"/>", escaped(what)),
                Finding::ExcludedInVain => write!(xml, "<failure message=\"is excluded, but passes\"/>"),
                Finding::Skipped(why) => write!(xml, "<skipped message=\"{}\"/>", escaped(why)),
                Finding::Excluded(reason, what) => {
                    write!(xml, "<skipped message=\"{}\"/>", escaped(&format!("{reason}: {what}")))
                }
            };
            if !line.stderr.is_empty() {
                let lines: Vec<String> = line.stderr.iter().map(|line| escaped(line)).collect();
                let _ = write!(xml, "<system-err>{}</system-err>", lines.join("\n"));
            }
            xml.push_str("</testcase>\n");
        }
        xml.push_str("</testsuite>\n");
        xml
    }
}

/// Text as an attribute of XML holds it; what XML cannot hold becomes a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || ('\u{FFFE}'..='\u{FFFF}').contains(&c) => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &'static str, finding: Finding) -> Line {
        let case = Title { id, title: "It is so", clauses: "P-1.1" };
        Line { case, finding, took: Duration::from_millis(20), stderr: Vec::new() }
    }

    fn report(findings: Vec<Line>) -> Report {
        Report { role: "server", lines: findings, took: Duration::from_millis(1500) }
    }

    #[test]
    fn exclusions_turn_failures_and_passes_around() {
        let exclusions = Exclusions::parse("a.b\tknown", |_| true).unwrap();
        let failed = line("a.b", Finding::Failed("x".to_owned())).with(&exclusions);
        assert_eq!(failed.finding, Finding::Excluded("known".to_owned(), "x".to_owned()));
        assert!(!failed.is_failure());
        assert!(line("a.b", Finding::Passed).with(&exclusions).is_failure());
        assert!(!line("a.c", Finding::Passed).with(&exclusions).is_failure());
    }

    #[test]
    fn the_text_tells_failures_and_counts() {
        let text = report(vec![
            line("a.b", Finding::Passed),
            line("a.c", Finding::Failed("1 is 2".to_owned())),
            line("a.d", Finding::Skipped("for want of time")),
        ])
        .text(false);
        assert_eq!(
            text,
            "FAILED    a.c  It is so (P-1.1)\n          1 is 2\nnot run   a.d  for want of time\n\
             1 passed, 1 failed, 0 excluded, 1 not run, in 1.5 s\n"
        );
    }

    #[test]
    fn what_the_program_said_follows_its_failure() {
        let failed = line("a.c", Finding::Failed("1 is 2".to_owned()));
        let said = Line { stderr: vec!["a < b".to_owned(), "c".to_owned()], ..failed };
        let report = report(vec![said]);
        assert!(
            report.text(false).contains("\n          1 is 2\n          stderr: a < b\n          stderr: c\n")
        );
        assert!(report.junit().contains("<failure message=\"1 is 2\"/><system-err>a &lt; b\nc</system-err>"));
    }

    #[test]
    fn the_xml_holds_any_text() {
        let xml = report(vec![line("a.b", Finding::Failed("a<b & \"c\"\u{1}".to_owned()))]).junit();
        assert!(xml.contains(
            "<testsuite name=\"blazedb conformance server\" tests=\"1\" failures=\"1\" skipped=\"0\""
        ));
        assert!(
            xml.contains("<testcase classname=\"server.a\" name=\"a.b: It is so (P-1.1)\" time=\"0.020\">")
        );
        assert!(xml.contains("<failure message=\"a&lt;b &amp; &quot;c&quot;?\"/></testcase>"));
    }
}
