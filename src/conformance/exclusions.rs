//! Cases that need not pass, each with its reason.

use std::collections::BTreeMap;

/// Ids and reasons, as a file holds them: `id<TAB>reason`, one a line; empty lines and those with `#` are passed over.
#[derive(Debug, Clone, Default)]
pub struct Exclusions(BTreeMap<String, String>);

impl Exclusions {
    /// Reads the text of such a file; `knows` says whether there is a case of an id.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn parse(text: &str, knows: impl Fn(&str) -> bool) -> Result<Self, String> {
        let mut found = BTreeMap::new();
        for (line, number) in text.lines().zip(1..) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, reason) =
                line.split_once('\t').map(|(id, reason)| (id.trim(), reason.trim())).unwrap_or_default();
            if reason.is_empty() {
                return Err(format!("line {number} is not an id, a tab and a reason"));
            }
            if !knows(id) {
                return Err(format!("line {number} excludes '{id}', and there is no such case; see --list"));
            }
            if found.insert(id.to_owned(), reason.to_owned()).is_some() {
                return Err(format!("line {number} excludes '{id}' a second time"));
            }
        }
        Ok(Self(found))
    }

    /// Why a case is excluded, if it is.
    pub fn reason(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Exclusions, String> {
        Exclusions::parse(text, |id| id == "frame.magic" || id == "frame.crc")
    }

    #[test]
    fn each_line_is_an_id_and_a_reason() {
        let found = parse("# ours\n\nframe.magic\tthe door looks at five bytes\n").unwrap();
        assert_eq!(found.reason("frame.magic"), Some("the door looks at five bytes"));
        assert_eq!(found.reason("frame.crc"), None);
    }

    #[test]
    fn what_excludes_nothing_is_an_error() {
        for (text, part) in [
            ("frame.magic", "line 1 is not"),
            ("frame.magic\t ", "line 1 is not"),
            ("\nframe.gone\tx", "line 2 excludes 'frame.gone', and there is no such case"),
            ("frame.crc\tx\nframe.crc\ty", "line 2 excludes 'frame.crc' a second time"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
    }
}
