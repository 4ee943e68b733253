//! YAML as a tree in which every node knows its place and every scalar keeps its text, so that `0777`, `no` and
//! `1e3` are judged by the field they stand in and not guessed at.
//!
//! Bounded: 1 MiB, 32 levels, no aliases (so a small file cannot stand for a large one), no tags, one document.
use super::problem::{Place, Problems};
use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};
use zeroize::Zeroizing;

/// The largest file that is looked at, in octets.
pub const SIZE_LIMIT: usize = 1 << 20;
/// Levels of nesting, of lists and mappings together.
const DEPTH_LIMIT: usize = 32;

/// A value and where it stands.
#[derive(Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a node can be.
#[derive(Debug)]
pub enum Value {
    /// Nothing behind the colon, `~` or `null`.
    Empty,
    /// Text as written, quotes and escapes undone. Wiped when dropped: it may be a key.
    Scalar {
        /// The text.
        text: Zeroizing<String>,
        /// Whether it stood in quotes (or in a block).
        quoted: bool,
    },
    /// `- a` or `[a]`.
    List(Vec<Node>),
    /// `a: b`. Keys are unique: a second one was reported and left out.
    Map(Vec<(Key, Node)>),
}

/// A mapping's key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it begins.
    pub place: Place,
    /// Its text.
    pub text: String,
}

impl Node {
    /// What to call it in a message.
    pub fn shown(&self) -> String {
        match &self.value {
            Value::Empty => String::new(),
            Value::Scalar { text, .. } => text.to_string(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(entries) => {
                entries.first().map_or("{}".to_owned(), |(key, _)| format!("{}: …", key.text))
            }
        }
    }
}

/// Reads one document. `None` when nothing can be made of it; the reasons are in `problems`.
pub fn read(source: &str, problems: &Problems) -> Option<Node> {
    if source.len() > SIZE_LIMIT {
        let message =
            format!("the file has {} octets; at most {SIZE_LIMIT} are read", source.len());
        problems.tell(Place { line: 1, column: 1 }, "", message);
        return None;
    }
    let mut options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: DEPTH_LIMIT,
        block_nesting_limit: DEPTH_LIMIT,
    };
    options.set_emit_comments(false);
    let events = Parser::new_from_str_with_options(source, options);
    let mut reader = Reader { events, problems, source, foreign: false };
    reader.document().filter(|_| !reader.foreign)
}

struct Reader<'s, 'p, I> {
    events: I,
    problems: &'p Problems,
    source: &'s str,
    /// Aliases, anchors or tags were found: what would be said of the values would be noise.
    foreign: bool,
}

fn place(mark: Marker) -> Place {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: number(mark.line()).max(1), column: number(mark.col()).saturating_add(1) }
}

impl<'s, I: Iterator<Item = Result<(Event<'s>, Span), ScanError>>> Reader<'s, '_, I> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        while let Some((event, span)) = self.next() {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => {
                    let empty = || Node { place: place(span.start), value: Value::Empty };
                    return Some(root.unwrap_or_else(empty));
                }
                _ if root.is_some() => {
                    let message =
                        "a second document begins; keep everything in one, without '---' between";
                    self.problems.tell(place(span.start), "---", message);
                    return None;
                }
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        None
    }

    fn next(&mut self) -> Option<(Event<'s>, Span)> {
        match self.events.next()? {
            Ok(pair) => Some(pair),
            Err(error) => {
                self.not_yaml(&error);
                None
            }
        }
    }

    /// The file is no YAML. Whoever indents with tabs is told so, whatever the parser stumbled over.
    fn not_yaml(&self, error: &ScanError) {
        let at = place(*error.marker());
        let line = self.source.lines().nth(at.line as usize - 1).unwrap_or_default();
        if let Some((at, line)) = self.tab_near(at.line) {
            self.problems.tell(at, line, "YAML does not allow tabs for indentation; use spaces");
            return;
        }
        let rest: String = line.chars().skip(at.column as usize - 1).collect();
        let text = if rest.trim().is_empty() { line } else { &rest };
        self.problems.tell(at, text, format!("not YAML: {}", error.info()));
    }

    /// A tab in the indentation of this line or the next, where a value that began here would go on.
    fn tab_near(&self, number: u32) -> Option<(Place, &str)> {
        let lines = self.source.lines().zip(1u32..).skip(number as usize - 1).take(2);
        lines.into_iter().find_map(|(line, number)| {
            let blank = line.len() - line.trim_start().len();
            let tab = line.get(..blank)?.find('\t')?;
            Some((Place { line: number, column: tab as u32 + 1 }, line))
        })
    }

    fn node(&mut self, event: Event<'s>, span: Span, depth: usize) -> Option<Node> {
        let place = place(span.start);
        if depth > DEPTH_LIMIT {
            self.problems.tell(place, "", format!("nested deeper than {DEPTH_LIMIT} levels"));
            return None;
        }
        self.plain(&event, &span);
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if is_null(&text) => Value::Empty,
            Event::Scalar(text, style, ..) => {
                let quoted = style != ScalarStyle::Plain;
                Value::Scalar { text: Zeroizing::new(text.into_owned()), quoted }
            }
            Event::SequenceStart(..) => Value::List(self.list(depth)?),
            Event::MappingStart(..) => Value::Map(self.map(depth)?),
            _ => Value::Empty,
        };
        Some(Node { place, value })
    }

    /// Tags, anchors and aliases have no meaning here, and aliases are how a small file becomes a large one.
    fn plain(&mut self, event: &Event<'s>, span: &Span) {
        let at = place(span.start);
        let anchor = event.anchor_id().is_some_and(|id| id != 0);
        self.foreign |= event.is_alias() || anchor || event.tag().is_some();
        if event.is_alias() {
            let message = "aliases are not supported; write the value out";
            self.problems.tell(at, span.slice(self.source).unwrap_or("*"), message);
        }
        if anchor {
            self.problems.tell(
                at,
                "&",
                "anchors are not supported; write the value out where it is used",
            );
        }
        if let Some(tag) = event.tag() {
            self.problems.tell(at, &tag.original(), "tags are not supported; leave it out");
        }
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Node>> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(list),
                (event, span) => list.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Option<Vec<(Key, Node)>> {
        let mut map: Vec<(Key, Node)> = Vec::new();
        let mut seen = std::collections::HashMap::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => return Some(map),
                pair => pair,
            };
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Value::Scalar { text, .. } = key.value else {
                let message =
                    "a key must be a plain word; put quotes around it if it is meant as text";
                self.problems.tell(key.place, &key.shown(), message);
                continue;
            };
            let key = Key { place: key.place, text: text.to_string() };
            if let Some(first) = seen.insert(key.text.clone(), key.place) {
                let message =
                    format!("this key stands here twice, first in line {}; remove one", first.line);
                self.problems.tell(key.place, &key.text, message);
            } else {
                map.push((key, value));
            }
        }
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(source: &str) -> String {
        let problems = Problems::default();
        let _ = read(source, &problems);
        problems.into_result("f").map_or_else(|all| all.to_string(), |()| String::new())
    }

    #[test]
    fn a_scalar_keeps_its_text() {
        let problems = Problems::default();
        let node = read("a: 0777\nb: no\nc: \"null\"\nd:\n", &problems).unwrap();
        let Value::Map(map) = node.value else { panic!("no mapping") };
        let texts: Vec<_> = map.iter().map(|(_, node)| node.shown()).collect();
        assert_eq!(texts, ["0777", "no", "null", ""]);
        assert_eq!(map[2].1.place, Place { line: 3, column: 4 });
        assert!(matches!(map[3].1.value, Value::Empty));
    }

    #[test]
    fn a_small_file_cannot_stand_for_a_large_one() {
        let bomb = "a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]\n";
        assert!(faults(bomb).contains("aliases are not supported"), "{}", faults(bomb));
        assert!(faults(&"[".repeat(1000)).contains("not YAML"));
        assert!(faults(&format!("{}a", "- ".repeat(1000))).contains("f:1:"));
        assert!(faults(&"#".repeat(SIZE_LIMIT + 1)).contains("octets"));
    }
}
