//! The colours of plots on a light page. Where the page is dark, its style puts others in their
//! place, which it finds by these: page.css has to name every one.

use plotters::style::RGBColor;

/// Letters, and the ends of ranges.
pub(crate) const TEXT: RGBColor = RGBColor(0x44, 0x4b, 0x55);
/// The axes.
pub(crate) const AXIS: RGBColor = RGBColor(0x8a, 0x92, 0x9c);
/// The lines of a scale.
pub(crate) const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);

/// Things that differ, easy to tell apart for those who see few colours, too.
pub(crate) const SERIES: [RGBColor; 6] = [
    RGBColor(0x2f, 0x6f, 0xdb),
    RGBColor(0xd9, 0x73, 0x0d),
    RGBColor(0x1a, 0x8a, 0x5a),
    RGBColor(0x8a, 0x4f, 0xc7),
    RGBColor(0xc8, 0x32, 0x4a),
    RGBColor(0x5b, 0x70, 0x83),
];

/// Shades of one thing, from little to much.
pub(crate) const SHADES: [RGBColor; 3] = [
    RGBColor(0x9c, 0xc3, 0xf5),
    RGBColor(0x4c, 0x8b, 0xe8),
    RGBColor(0x1b, 0x4b, 0x9b),
];

/// The colour as plots and styles name it.
pub(crate) fn name(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}
