//! Plots as SVG: bars in groups, and lines. What the colours mean and what a plot is about is
//! said beside it, by whoever asks for it.

use anyhow::{Context as _, Result};
use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea as _};
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::{Color as _, IntoLogRange as _};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont as _, RGBColor, TextStyle};

use super::colour::{AXIS, GRID, TEXT};
use crate::tables::number;

const WIDTH: u32 = 440;
const HEIGHT: u32 = 250;
/// Room for the labels of the axes, in pixels.
const Y_LABELS: u32 = 64;
const X_LABELS: u32 = 26;
const MARGIN: u32 = 14;
/// Room beside the last of many labels, half of which is right of its place.
const LABEL_MARGIN: u32 = 36;
const FONT_SIZE: f64 = 16.0;
const VALUE_FONT_SIZE: f64 = 14.0;
/// What of a group's width its bars take.
const GROUP_FILL: f64 = 0.78;
/// What is left free of the height above the greatest value, for its label.
const HEADROOM: f64 = 0.14;
/// How many labels of about eight letters have room side by side.
const X_LABELS_MAX: usize = 4;

/// Bars, side by side in groups.
#[derive(Debug)]
pub(crate) struct Bars {
    /// What the values are, with their unit.
    pub(crate) unit: &'static str,
    /// The groups, from left to right.
    pub(crate) groups: Vec<Group>,
    /// The range of a logarithmic scale, both powers of ten; else the scale is linear from zero.
    pub(crate) log_range: Option<(f64, f64)>,
}

/// Bars of one place.
#[derive(Debug)]
pub(crate) struct Group {
    /// What stands below it.
    pub(crate) label: String,
    /// The bars; one that was not measured leaves its place free.
    pub(crate) bars: Vec<Option<Bar>>,
}

/// A value, and the ends of its range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) colour: RGBColor,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Values along an axis of labels.
#[derive(Debug)]
pub(crate) struct Lines {
    /// What the values are, with their unit.
    pub(crate) unit: &'static str,
    /// The labels, from left to right.
    pub(crate) labels: Vec<String>,
    /// The lines: a value for each label, where there is one.
    pub(crate) lines: Vec<(RGBColor, Vec<Option<f64>>)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

impl Bars {
    /// Draws them.
    pub(crate) fn draw(&self) -> Result<String> {
        svg(|area| {
            let end = self.groups.len().max(1) as f64;
            if let Some((low, high)) = self.log_range {
                let mut chart =
                    builder(area).build_cartesian_2d(0.0..end, (low..high).log_scale())?;
                axes(&mut chart, self.unit)?;
                self.fill(area, &mut chart, low)
            } else {
                let bars = self.groups.iter().flat_map(|group| &group.bars).flatten();
                let top = top_of(bars.map(|bar| bar.high));
                let mut chart = builder(area).build_cartesian_2d(0.0..end, 0.0..top)?;
                axes(&mut chart, self.unit)?;
                self.fill(area, &mut chart, 0.0)
            }
        })
    }

    fn fill<'b, Y>(&self, area: &Area<'b>, chart: &mut Chart<'_, 'b, Y>, floor: f64) -> Result<()>
    where
        Y: Ranged<ValueType = f64>,
    {
        for (index, group) in self.groups.iter().enumerate() {
            let middle = index as f64 + 0.5;
            let width = GROUP_FILL / group.bars.len().max(1) as f64;
            below(area, chart, (middle, floor), &group.label)?;
            for (place, bar) in group.bars.iter().enumerate() {
                let left = middle - GROUP_FILL / 2.0 + place as f64 * width;
                if let Some(bar) = bar {
                    draw_bar(area, chart, *bar, (left, left + width), floor)?;
                }
            }
        }
        Ok(())
    }
}

fn draw_bar<'b, Y>(
    area: &Area<'b>,
    chart: &mut Chart<'_, 'b, Y>,
    bar: Bar,
    (left, right): (f64, f64),
    floor: f64,
) -> Result<()>
where
    Y: Ranged<ValueType = f64>,
{
    let middle = f64::midpoint(left, right);
    let gap = (right - left) * 0.06;
    let corners = [(left + gap, bar.value.max(floor)), (right - gap, floor)];
    chart.draw_series([Rectangle::new(corners, bar.colour.filled())])?;
    if bar.low < bar.high {
        let ends = vec![(middle, bar.low.max(floor)), (middle, bar.high)];
        chart.draw_series([PathElement::new(ends, TEXT.stroke_width(2))])?;
    }
    let (x, y) = chart.backend_coord(&(middle, bar.high.max(floor)));
    area.draw(&Text::new(
        number(Some(bar.value)),
        (x, y - 3),
        label_style(VALUE_FONT_SIZE, HPos::Center, VPos::Bottom),
    ))?;
    Ok(())
}

impl Lines {
    /// Draws them.
    pub(crate) fn draw(&self) -> Result<String> {
        svg(|area| {
            let end = self.labels.len().max(1) as f64;
            let top = top_of(
                self.lines
                    .iter()
                    .flat_map(|(_, values)| values)
                    .copied()
                    .flatten(),
            );
            let mut chart = builder(area)
                .margin_right(LABEL_MARGIN)
                .build_cartesian_2d(0.0..end, 0.0..top)?;
            axes(&mut chart, self.unit)?;
            // Counted from the last: the newest always has its label.
            let every = self.labels.len().div_ceil(X_LABELS_MAX).max(1);
            for (index, label) in self.labels.iter().enumerate() {
                if (self.labels.len() - 1 - index).is_multiple_of(every) {
                    below(area, &chart, (index as f64 + 0.5, 0.0), label)?;
                }
            }
            for (colour, values) in &self.lines {
                let points = values.iter().enumerate();
                let points: Vec<_> = points
                    .filter_map(|(index, value)| Some((index as f64 + 0.5, (*value)?)))
                    .collect();
                let dots: Vec<_> = points
                    .iter()
                    .map(|point| Circle::new(*point, 3, colour.filled()))
                    .collect();
                chart.draw_series([PathElement::new(points, colour.stroke_width(2))])?;
                chart.draw_series(dots)?;
            }
            Ok(())
        })
    }
}

/// An SVG of what is drawn.
fn svg(draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
        draw(&area).context("draw a plot")?;
        area.present().context("draw a plot")?;
    }
    Ok(text)
}

fn builder<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder
        .margin(MARGIN)
        .margin_left(MARGIN / 2)
        .x_label_area_size(X_LABELS)
        .y_label_area_size(Y_LABELS);
    builder
}

/// The lines of the scale with their values, and the unit.
fn axes<Y>(chart: &mut Chart<'_, '_, Y>, unit: &str) -> Result<()>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_labels(6)
        .y_label_formatter(&|value| tick(*value))
        .y_desc(unit)
        .axis_style(AXIS)
        .bold_line_style(GRID)
        .light_line_style(plotters::style::TRANSPARENT)
        .label_style(label_style(FONT_SIZE, HPos::Right, VPos::Center))
        .axis_desc_style(label_style(FONT_SIZE, HPos::Center, VPos::Top))
        .draw()?;
    Ok(())
}

/// Writes below a place of the horizontal axis.
fn below<'b, Y>(
    area: &Area<'b>,
    chart: &Chart<'_, 'b, Y>,
    place: (f64, f64),
    label: &str,
) -> Result<()>
where
    Y: Ranged<ValueType = f64>,
{
    let (x, y) = chart.backend_coord(&place);
    let style = label_style(FONT_SIZE, HPos::Center, VPos::Top);
    area.draw(&Text::new(label.to_owned(), (x, y + 8), style))?;
    Ok(())
}

fn label_style(size: f64, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .color(&TEXT)
        .pos(Pos::new(horizontal, vertical))
}

/// The upper end of a scale from zero.
fn top_of(values: impl Iterator<Item = f64>) -> f64 {
    let greatest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
    if greatest > 0.0 {
        greatest * (1.0 + HEADROOM)
    } else {
        1.0
    }
}

/// A value of a scale, without what adding up its steps left behind the decimals.
fn tick(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::colour::SERIES;
    use super::*;

    fn bar(value: f64) -> Option<Bar> {
        Some(Bar {
            colour: SERIES[0],
            value,
            low: value * 0.9,
            high: value * 1.1,
        })
    }

    #[test]
    fn bars_have_their_values_and_labels_in_both_scales() {
        for log_range in [None, Some((1.0, 1000.0))] {
            let svg = Bars {
                unit: "requests/s",
                groups: vec![Group {
                    label: "<8>".to_owned(),
                    bars: vec![bar(123.0), None],
                }],
                log_range,
            };
            let svg = svg.draw().unwrap();
            assert!(svg.starts_with("<svg"), "{svg}");
            for text in ["\n123\n", "&lt;8&gt;", "requests/s", "#2F6FDB"] {
                assert!(svg.contains(text), "{text}: {svg}");
            }
        }
    }

    #[test]
    fn nothing_measured_is_an_empty_plot() {
        let bars = Bars {
            unit: "ms",
            groups: Vec::new(),
            log_range: None,
        };
        assert!(bars.draw().unwrap().contains("</svg>"));
        let lines = Lines {
            unit: "",
            labels: vec!["a".to_owned()],
            lines: vec![(SERIES[0], vec![None])],
        };
        assert!(lines.draw().unwrap().contains("</svg>"));
    }

    #[test]
    fn the_newest_of_many_labels_is_shown() {
        let lines = Lines {
            unit: "",
            labels: (0..23).map(|index| format!("c{index}")).collect(),
            lines: vec![(
                SERIES[0],
                (0..23).map(|index| Some(f64::from(index))).collect(),
            )],
        };
        let svg = lines.draw().unwrap();
        assert!(svg.contains("\nc22\n"), "{svg}");
        let shown = svg.matches("\nc").count();
        assert!(shown <= X_LABELS_MAX, "{shown}");
    }
}
