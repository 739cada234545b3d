//! Collects the glyphs of a page with their places.

use hayro_interpret::font::{Glyph as PdfGlyph, GlyphRun};
use hayro_interpret::hayro_cmap::BfString;
use hayro_interpret::kurbo::{Affine, BezPath, Point, Rect, Vec2};
use hayro_interpret::{
    BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, SoftMask,
};
use unicode_normalization::UnicodeNormalization;

/// Glyph space: units of an em.
const UNITS_PER_EM: f64 = 1_000.0;
/// How wide a glyph is taken to be where its font does not say, in ems.
const USUAL_ADVANCE: f64 = 0.5;
/// A page with more glyphs is not a page of text.
const MOST_GLYPHS: usize = 500_000;

/// A glyph, turned so that its line runs from left to right.
#[derive(Debug, Clone)]
pub(super) struct Glyph {
    /// What it stands for; ligatures are several characters, in logical order.
    pub(super) text: String,
    /// Where it begins along its line.
    pub(super) start: f64,
    /// Where the next one would begin.
    pub(super) end: f64,
    /// How high its baseline is.
    pub(super) baseline: f64,
    /// How high an em is.
    pub(super) size: f64,
    /// Quarter turns from left-to-right.
    pub(super) turn: u8,
}

/// The device that keeps glyphs and draws nothing.
pub(super) struct GlyphCollector {
    visible: Rect,
    glyphs: Vec<Glyph>,
}

impl GlyphCollector {
    /// Keeps what begins within `visible`, or close to it.
    pub(super) fn new(visible: Rect) -> Self {
        let margin = 0.02 * (visible.width() + visible.height());
        Self {
            visible: visible.inflate(margin, margin),
            glyphs: Vec::new(),
        }
    }

    pub(super) fn into_glyphs(self) -> Vec<Glyph> {
        self.glyphs
    }

    fn keep(&mut self, glyph: &PdfGlyph<'_>, transform: Affine) {
        let text = match glyph.as_unicode() {
            Some(BfString::Char(c)) => c.to_string(),
            Some(BfString::String(text)) => text,
            None => return,
        };
        let text = plain(&text);
        let origin = transform * Point::ORIGIN;
        if text.is_empty() || !self.visible.contains(origin) || self.glyphs.len() >= MOST_GLYPHS {
            return;
        }
        let advance = match glyph {
            PdfGlyph::Outline(glyph) => glyph.advance_width(),
            PdfGlyph::Type3(glyph) => glyph.advance_width(),
        };
        let advance = advance.map_or(USUAL_ADVANCE, |units| f64::from(units) / UNITS_PER_EM);
        let along = transform * Point::new(UNITS_PER_EM, 0.0) - origin;
        let up = transform * Point::new(0.0, UNITS_PER_EM) - origin;
        let (along, up, turn) = upright(along, up);
        let place = turned(origin.to_vec2(), turn);
        let (width, size) = (along.x.abs(), up.y.abs());
        if !(size.is_finite()
            && size > 0.1
            && width.is_finite()
            && place.x.is_finite()
            && place.y.is_finite())
        {
            return;
        }
        self.glyphs.push(Glyph {
            text,
            start: place.x,
            end: place.x + width * advance,
            baseline: place.y,
            size,
            turn,
        });
    }
}

/// Turns the axes of a glyph by quarters until its line runs from left to right.
fn upright(along: Vec2, up: Vec2) -> (Vec2, Vec2, u8) {
    let turn = if along.x.abs() >= along.y.abs() {
        if along.x >= 0.0 { 0 } else { 2 }
    } else if along.y > 0.0 {
        1
    } else {
        3
    };
    (turned(along, turn), turned(up, turn), turn)
}

fn turned(vector: Vec2, turn: u8) -> Vec2 {
    match turn {
        1 => Vec2::new(vector.y, -vector.x),
        2 => Vec2::new(-vector.x, -vector.y),
        3 => Vec2::new(-vector.y, vector.x),
        _ => vector,
    }
}

/// Ligatures and presentation forms as the letters they stand for; nothing of control characters.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{fb00}'..='\u{fb06}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' => {
                plain.extend(std::iter::once(c).nfkc());
            }
            '\u{a0}' | '\t' | '\r' | '\n' | '\u{2000}'..='\u{200a}' | '\u{202f}' => plain.push(' '),
            // Private use: a font's own numbering, says nothing.
            '\u{e000}'..='\u{f8ff}' | '\u{fffd}' | '\u{fffe}' | '\u{ffff}' => {}
            // Direction marks order what is stored; here the place on the page orders.
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {}
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

impl<'a> Device<'a> for GlyphCollector {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, _: &DrawMode) {
        for glyph in run.glyphs() {
            self.keep(glyph, props.transform * glyph.transform());
        }
    }

    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {}
    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {}
    fn pop_clip(&mut self) {}
    fn pop_transparency_group(&mut self) {}
}
