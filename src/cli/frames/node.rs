//! A small tree of facts that is printed as indented text or as JSON.

use std::fmt::Write;

/// A fact, or facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A number, `true`, `false` or `null`: printed as it is.
    Plain(String),
    /// Complete JSON, whose text may be foreign: what controls a terminal is escaped.
    Json(String),
    /// A word of harmless characters: quoted in JSON alone.
    Word(String),
    /// Foreign text: quoted and escaped wherever it is printed, so that it cannot steer a terminal.
    Text(String),
    /// Named facts.
    Map(Vec<(&'static str, Node)>),
    /// Facts in order.
    List(Vec<Node>),
}

impl Node {
    pub(super) fn number(number: impl Into<u64>) -> Self {
        Self::Plain(number.into().to_string())
    }

    pub(super) fn bool(value: bool) -> Self {
        Self::Plain(value.to_string())
    }

    pub(super) fn null() -> Self {
        Self::Plain("null".to_owned())
    }

    pub(super) fn word(word: impl ToString) -> Self {
        Self::Word(word.to_string())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Appends a fact on the line that is open; of several, as JSON.
    pub(super) fn write_leaf(&self, out: &mut String) {
        match self {
            Self::Plain(text) | Self::Word(text) => out.push_str(text),
            Self::Text(text) => quote(text, out),
            Self::Json(_) | Self::Map(_) | Self::List(_) => self.write_json(out),
        }
    }

    /// Appends lines, indented by `depth` steps.
    pub(super) fn write_text(&self, depth: usize, out: &mut String) {
        match self {
            Self::Map(fields) => {
                for (name, value) in fields {
                    indent(depth, out);
                    out.push_str(name);
                    out.push(':');
                    value.write_behind_name(depth, out);
                }
            }
            Self::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    indent(depth, out);
                    // Writing to a String cannot fail.
                    let _ = write!(out, "[{at}]");
                    item.write_behind_name(depth, out);
                }
            }
            leaf => {
                indent(depth, out);
                leaf.write_leaf(out);
                out.push('\n');
            }
        }
    }

    fn write_behind_name(&self, depth: usize, out: &mut String) {
        match self {
            Self::List(items) if items.is_empty() => out.push_str(" none\n"),
            Self::Map(_) | Self::List(_) => {
                out.push('\n');
                self.write_text(depth.saturating_add(1), out);
            }
            leaf => {
                out.push(' ');
                leaf.write_leaf(out);
                out.push('\n');
            }
        }
    }

    /// Appends JSON without blanks.
    pub(super) fn write_json(&self, out: &mut String) {
        match self {
            Self::Plain(text) => out.push_str(text),
            Self::Json(json) => escape_controls(json, out),
            Self::Word(text) | Self::Text(text) => quote(text, out),
            Self::Map(fields) => {
                separated(fields, ('{', '}'), out, |(name, value), out| {
                    quote(name, out);
                    out.push(':');
                    value.write_json(out);
                });
            }
            Self::List(items) => separated(items, ('[', ']'), out, Self::write_json),
        }
    }
}

fn separated<T>(items: &[T], (open, close): (char, char), out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push(open);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("    ", depth));
}

/// Appends `text` as a JSON string.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            other => push_harmless(other, out),
        }
    }
    out.push('"');
}

/// Appends JSON whose only controls, if any, stand inside strings.
fn escape_controls(json: &str, out: &mut String) {
    json.chars().for_each(|character| push_harmless(character, out));
}

/// Appends a character of a JSON string, escaped if it is a control: those are below U+10000, so that one escape
/// holds them.
fn push_harmless(character: char, out: &mut String) {
    if character.is_control() {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\u{:04x}", u32::from(character));
    } else {
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_harmless_and_json_is_json() {
        let node = Node::Map(vec![
            ("text", Node::text("a\"\\\n\u{1b}[31m\u{9b}é")),
            ("list", Node::List(vec![Node::number(1u8), Node::word("two"), Node::null()])),
        ]);
        let mut json = String::new();
        node.write_json(&mut json);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read, serde_json::json!({"text": "a\"\\\n\u{1b}[31m\u{9b}é", "list": [1, "two", null]}));
        let mut text = String::new();
        node.write_text(1, &mut text);
        assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text}");
        assert!(text.ends_with("    list:\n        [0] 1\n        [1] two\n        [2] null\n"), "{text}");
    }
}
