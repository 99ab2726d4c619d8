//! Line plots as SVG.

use plotters::prelude::*;
use plotters::style::RGBColor;

use crate::RecipeError;

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Axis {
    /// Equal steps.
    Linear,
    /// Powers of two are equally far apart.
    Log2,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Style {
    /// A line through the points.
    Line,
    /// A dashed line, for references that are not methods.
    Reference,
    /// Points only.
    Points,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub label: String,
    /// (x, y, low, high) in the order of x; low = high = y where there is no interval.
    pub points: Vec<(f64, f64, f64, f64)>,
    /// How it is drawn.
    pub style: Style,
}

impl Series {
    /// A series without intervals.
    #[must_use]
    pub fn new(label: &str, style: Style, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points = points.into_iter().map(|(x, y)| (x, y, y, y)).collect();
        Self { label: label.to_owned(), points, style }
    }
}

/// A plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Quantity and unit along x.
    pub x_label: String,
    /// Quantity and unit along y.
    pub y_label: String,
    /// Division of the x axis.
    pub x_axis: Axis,
    /// What is drawn.
    pub series: Vec<Series>,
}

/// Okabe and Ito's palette: distinguishable by colour-blind readers.
const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
    RGBColor(0, 0, 0),
];

const SIZE: (u32, u32) = (860, 460);
const LEGEND_WIDTH: u32 = 240;

impl Plot {
    /// The plot as SVG, drawn deterministically.
    ///
    /// # Errors
    /// If the plotting library refuses.
    pub fn to_svg(&self) -> Result<String, RecipeError> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|message| RecipeError::Plot { title: self.title.clone(), message })?;
        Ok(svg)
    }

    fn x(&self, x: f64) -> f64 {
        match self.x_axis {
            Axis::Linear => x,
            Axis::Log2 => x.max(f64::MIN_POSITIVE).log2(),
        }
    }

    fn bounds(&self) -> ((f64, f64), (f64, f64)) {
        let points = self.series.iter().flat_map(|s| &s.points);
        let finite = points.filter(|p| p.0.is_finite() && p.2.is_finite() && p.3.is_finite());
        let empty = (f64::INFINITY, f64::NEG_INFINITY);
        let (x, y) = finite.fold((empty, empty), |(x, y), p| {
            let at = self.x(p.0);
            ((x.0.min(at), x.1.max(at)), (y.0.min(p.2), y.1.max(p.3)))
        });
        (padded(x, 0.02), padded(y, 0.06))
    }

    fn draw(&self, svg: &mut String) -> Result<(), String> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(text)?;
        let (left, right) = root.split_horizontally(SIZE.0 - LEGEND_WIDTH);
        self.draw_axes_and_series(&left)?;
        self.draw_legend(&right)?;
        root.present().map_err(text)
    }

    fn draw_axes_and_series<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
    ) -> Result<(), String> {
        let ((x0, x1), (y0, y1)) = self.bounds();
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(58)
            .build_cartesian_2d(x0..x1, y0..y1)
            .map_err(text)?;
        let x_label = |x: &f64| match self.x_axis {
            Axis::Linear => number(*x),
            Axis::Log2 => number(x.exp2()),
        };
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(228, 228, 228))
            .x_desc(&self.x_label)
            .y_desc(&self.y_label)
            .x_labels(8)
            .x_label_formatter(&x_label)
            .y_label_formatter(&|y| number(*y))
            .label_style(("sans-serif", 13))
            .axis_desc_style(("sans-serif", 14))
            .draw()
            .map_err(text)?;
        for (i, series) in self.series.iter().enumerate() {
            let colour = PALETTE[i % PALETTE.len()];
            let line: Vec<_> = series.points.iter().map(|p| (self.x(p.0), p.1)).collect();
            let bars = series.points.iter().filter(|p| p.2 < p.3).map(|p| {
                PathElement::new(vec![(self.x(p.0), p.2), (self.x(p.0), p.3)], colour.mix(0.45).stroke_width(2))
            });
            chart.draw_series(bars).map_err(text)?;
            match series.style {
                Style::Line => {
                    chart.draw_series(LineSeries::new(line.clone(), colour.stroke_width(2))).map_err(text)?;
                }
                Style::Reference => {
                    let dashes = DashedLineSeries::new(line.clone(), 6, 4, colour.stroke_width(2));
                    chart.draw_series(dashes).map_err(text)?;
                }
                Style::Points => {}
            }
            if !matches!(series.style, Style::Reference) {
                let dots = line.into_iter().map(|p| Circle::new(p, 3, colour.filled()));
                chart.draw_series(dots).map_err(text)?;
            }
        }
        Ok(())
    }

    fn draw_legend<B: DrawingBackend>(&self, area: &DrawingArea<B, plotters::coord::Shift>) -> Result<(), String> {
        for (i, series) in self.series.iter().enumerate() {
            let (y, colour) = (24 + 22 * i as i32, PALETTE[i % PALETTE.len()]);
            // Drawn as the series is: whole, or in dashes.
            let (width, strokes): (u32, &[(i32, i32)]) = match series.style {
                Style::Reference => (2, &[(6, 12), (15, 21), (24, 30)]),
                Style::Line | Style::Points => (3, &[(6, 28)]),
            };
            for &(from, to) in strokes {
                area.draw(&PathElement::new(vec![(from, y), (to, y)], colour.stroke_width(width))).map_err(text)?;
            }
            area.draw(&Text::new(series.label.clone(), (36, y - 7), ("sans-serif", 14))).map_err(text)?;
        }
        Ok(())
    }
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

/// Widens an interval by a share of its length; an empty or single-point one becomes an interval of length 1.
fn padded((low, high): (f64, f64), share: f64) -> (f64, f64) {
    if low > high {
        return (0.0, 1.0);
    }
    let room = if high > low { (high - low) * share } else { 0.5 };
    (low - room, high + room)
}

fn number(x: f64) -> String {
    let x = (x * 1e6).round() / 1e6;
    if x.abs() >= 100.0 { format!("{x:.0}") } else { format!("{}", (x * 1e3).round() / 1e3) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        let series = vec![Series::new("a <b>", Style::Line, points)];
        Plot { title: "t".into(), x_label: "x".into(), y_label: "y".into(), x_axis: Axis::Log2, series }
    }

    #[test]
    fn a_plot_is_drawn_the_same_way_twice_and_its_labels_are_escaped() {
        let plot = plot(vec![(1.0, 0.5), (2.0, 0.75)]);
        let svg = plot.to_svg().unwrap();
        assert_eq!(svg, plot.to_svg().unwrap());
        assert!(svg.contains("a &lt;b&gt;") && svg.contains("<circle"));
    }

    #[test]
    fn a_plot_of_nothing_is_an_empty_frame() {
        assert!(plot(vec![]).to_svg().unwrap().contains("<svg"));
        assert!(plot(vec![(1.0, f64::NAN)]).to_svg().is_ok());
    }

    #[test]
    fn a_single_point_has_room_around_it() {
        assert_eq!(padded((2.0, 2.0), 0.1), (1.5, 2.5));
    }
}
