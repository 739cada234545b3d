//! HTML by its tokens. There is no tree, so a document that is nested a million deep costs no more
//! than its bytes.

use std::cell::RefCell;

use encoding_rs::Encoding;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::encoding;
use crate::Failure;
use crate::sink::Sink;

/// Where a document may name its encoding (WHATWG HTML, 13.2.3.2).
const PRESCAN_BYTES: usize = 1_024;

pub(super) fn read(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), Failure> {
    let text = encoding::decode_as(bytes, named_encoding(bytes))?;
    sink.begin_page(0)?;
    let reader = Reader {
        state: RefCell::new(State {
            sink,
            block: String::new(),
            hidden: None,
            heading: false,
            preformatted: 0,
            end: Ok(()),
        }),
    };
    let tokenizer = Tokenizer::new(reader, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(text.as_str()));
    // The tokenizer may stop at what a browser would act on; feeding again goes on.
    while !input.is_empty() {
        let _ = tokenizer.feed(&input);
    }
    tokenizer.end();
    let mut state = tokenizer.sink.state.into_inner();
    state.end_block();
    state.end
}

fn named_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head =
        String::from_utf8_lossy(&bytes[..bytes.len().min(PRESCAN_BYTES)]).to_ascii_lowercase();
    let after = head
        .split("charset")
        .nth(1)?
        .trim_start()
        .strip_prefix('=')?;
    let label = after.trim_start_matches([' ', '"', '\'']);
    let end = label.find(|c: char| !c.is_ascii_alphanumeric() && !"-_:".contains(c));
    Encoding::for_label(&label.as_bytes()[..end.unwrap_or(label.len())])
}

struct Reader<'r, 'g> {
    state: RefCell<State<'r, 'g>>,
}

struct State<'r, 'g> {
    sink: &'r mut Sink<'g>,
    block: String,
    /// The element whose content is not text for readers, until its end tag.
    hidden: Option<String>,
    heading: bool,
    preformatted: u32,
    end: Result<(), Failure>,
}

impl State<'_, '_> {
    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        if self.end.is_ok() {
            self.end = match (self.heading, self.preformatted > 0) {
                (true, _) => self.sink.heading(&block),
                (false, true) => self.sink.lines(&block),
                (false, false) => self.sink.text(&block),
            };
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        let opens = tag.kind == TagKind::StartTag;
        if let Some(hidden) = &self.hidden {
            if !opens && hidden == name {
                self.hidden = None;
            }
            return TokenSinkResult::Continue;
        }
        match name {
            "script" | "style" | "template" | "svg" | "select" | "textarea" if opens => {
                if !tag.self_closing {
                    self.hidden = Some(name.to_owned());
                }
                match name {
                    "script" => return TokenSinkResult::RawData(RawKind::ScriptData),
                    "style" => return TokenSinkResult::RawData(RawKind::Rawtext),
                    "textarea" => return TokenSinkResult::RawData(RawKind::Rcdata),
                    _ => {}
                }
            }
            "title" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.end_block();
                self.heading = opens;
                if opens && name == "title" {
                    return TokenSinkResult::RawData(RawKind::Rcdata);
                }
            }
            "pre" => {
                self.end_block();
                self.preformatted = if opens {
                    self.preformatted + 1
                } else {
                    self.preformatted.saturating_sub(1)
                };
            }
            "br" => self.block.push('\n'),
            "td" | "th" => self.block.push(' '),
            inline if is_inline(inline) => {}
            _ => self.end_block(),
        }
        TokenSinkResult::Continue
    }
}

fn is_inline(name: &str) -> bool {
    matches!(
        name,
        "a" | "abbr"
            | "b"
            | "bdi"
            | "bdo"
            | "cite"
            | "code"
            | "data"
            | "del"
            | "dfn"
            | "em"
            | "font"
            | "i"
            | "img"
            | "ins"
            | "kbd"
            | "label"
            | "mark"
            | "q"
            | "rp"
            | "rt"
            | "ruby"
            | "s"
            | "samp"
            | "small"
            | "span"
            | "strong"
            | "sub"
            | "sup"
            | "time"
            | "tt"
            | "u"
            | "var"
            | "wbr"
            | "math"
            | "mi"
            | "mn"
            | "mo"
            | "mrow"
            | "msub"
            | "msup"
    )
}

impl TokenSink for Reader<'_, '_> {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.state.borrow_mut();
        match token {
            Token::CharacterTokens(text) if state.hidden.is_none() => state.block.push_str(&text),
            Token::TagToken(tag) => return state.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}
