//! Two kinds of picture, plain enough to be written by hand: lines over a logarithmic axis, and stacked bars.
use std::fmt::Write;

/// One line.
pub struct Series {
    /// For the legend.
    pub name: String,
    /// Drawn thicker.
    pub strong: bool,
    /// In the order of x.
    pub points: Vec<(f64, f64)>,
}

/// Lines over a logarithmic x axis.
pub struct Lines {
    /// Above the picture.
    pub title: String,
    /// What x counts.
    pub x: String,
    /// What y counts.
    pub y: String,
    /// The lines.
    pub series: Vec<Series>,
}

/// Horizontal bars of parts.
pub struct Bars {
    /// Above the picture.
    pub title: String,
    /// The parts' names.
    pub parts: Vec<String>,
    /// A name, and its parts' lengths.
    pub bars: Vec<(String, Vec<f64>)>,
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 36.0;
const PLOT: f64 = 300.0;
/// Of a bar with its gap.
const BAR: f64 = 26.0;
/// Names of bars stand here.
const NAMES: f64 = 170.0;

/// Told apart by people who confuse red and green too (after Okabe and Ito).
const COLOURS: [&str; 10] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f",
    "#b2a200", "#8a2be2",
];

fn colour(index: usize) -> &'static str {
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or("#000000")
}

fn open(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}",
        text(
            LEFT,
            20.0,
            "start",
            &format!("<tspan font-weight=\"bold\">{}</tspan>", escaped(title))
        ),
    )
}

fn text(x: f64, y: f64, anchor: &str, content: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>\n")
}

fn rule(x1: f64, y1: f64, x2: f64, y2: f64) -> String {
    format!(
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#cccccc\"/>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A round number of which about five make `most`.
fn step(most: f64) -> f64 {
    let rough = (most / 5.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough);
    factor.unwrap_or(10.0) * power
}

/// Round numbers from 0 to `most`.
fn ticks(most: f64) -> impl Iterator<Item = f64> {
    let step = step(most);
    (0..=10).map(move |n| f64::from(n) * step).take_while(move |tick| *tick <= most)
}

fn written(text: &mut String, piece: core::fmt::Arguments<'_>) {
    _ = text.write_fmt(piece); // a String takes everything
}

/// Numbers to places in the picture.
struct Scale {
    least: f64,
    most: f64,
    high: f64,
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        let whole = (self.most / self.least).ln().max(f64::MIN_POSITIVE);
        LEFT + (value / self.least).ln() / whole * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + PLOT * (1.0 - value / self.high)
    }
}

impl Lines {
    /// The picture.
    pub fn svg(&self) -> String {
        let mut out = open(TOP + PLOT + 48.0, &self.title);
        let scale = self.scale();
        out += &self.axes(&scale);
        for (index, series) in self.series.iter().enumerate() {
            out += &series.draw(&scale, index);
        }
        out + "</svg>\n"
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series.iter().flat_map(|series| series.points.iter().copied())
    }

    fn scale(&self) -> Scale {
        let least = self.points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let most = self.points().map(|point| point.0).fold(0.0, f64::max);
        let high = self.points().map(|point| point.1).fold(0.0, f64::max);
        Scale { least, most, high: high * 1.05 }
    }

    fn axes(&self, scale: &Scale) -> String {
        let mut out = String::new();
        for tick in ticks(scale.high) {
            let y = scale.y(tick);
            out += &rule(LEFT, y, WIDTH - RIGHT, y);
            out += &text(LEFT - 6.0, y + 4.0, "end", &tick.to_string());
        }
        let mut xs: Vec<f64> = self.points().map(|point| point.0).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        for x in xs {
            out += &text(scale.x(x), TOP + PLOT + 18.0, "middle", &x.to_string());
        }
        out += &text((LEFT + WIDTH - RIGHT) / 2.0, TOP + PLOT + 38.0, "middle", &escaped(&self.x));
        out + &text(WIDTH - RIGHT, TOP - 8.0, "end", &escaped(&self.y))
    }
}

impl Series {
    fn draw(&self, scale: &Scale, index: usize) -> String {
        let (colour, width) = (colour(index), if self.strong { 3.0 } else { 1.5 });
        let mut points = String::new();
        for (x, y) in &self.points {
            written(&mut points, format_args!("{:.1},{:.1} ", scale.x(*x), scale.y(*y)));
        }
        let mut out = format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>\n",
            points.trim_end()
        );
        let y = TOP + 10.0 + index as f64 * 18.0;
        let x = WIDTH - RIGHT + 14.0;
        written(
            &mut out,
            format_args!(
                "<rect x=\"{x}\" y=\"{:.1}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>\n",
                y - 5.0
            ),
        );
        out + &text(x + 20.0, y, "start", &escaped(&self.name))
    }
}

impl Bars {
    /// The picture.
    pub fn svg(&self) -> String {
        let length = |parts: &[f64]| parts.iter().sum::<f64>();
        let most = self.bars.iter().map(|(_, parts)| length(parts)).fold(1.0, f64::max) * 1.02;
        let bottom = TOP + self.bars.len() as f64 * BAR;
        let place = |value: f64| NAMES + value / most * (WIDTH - NAMES - RIGHT + LEFT);
        let mut out =
            open(f64::max(bottom + 30.0, TOP + self.parts.len() as f64 * 18.0 + 30.0), &self.title);
        for tick in ticks(most) {
            out += &rule(place(tick), TOP, place(tick), bottom);
            out += &text(place(tick), bottom + 16.0, "middle", &tick.to_string());
        }
        for ((name, parts), y) in self.bars.iter().zip((0..).map(|n| TOP + f64::from(n) * BAR)) {
            out += &text(NAMES - 8.0, y + 17.0, "end", &escaped(name));
            let mut from = 0.0;
            for (index, part) in parts.iter().enumerate() {
                let (x, width) = (place(from), place(from + part) - place(from));
                written(
                    &mut out,
                    format_args!(
                        "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{}\"/>\n",
                        y + 4.0,
                        BAR - 8.0,
                        colour(index),
                    ),
                );
                from += part;
            }
        }
        out + &self.legend() + "</svg>\n"
    }

    fn legend(&self) -> String {
        let mut out = String::new();
        for (index, name) in self.parts.iter().enumerate() {
            let (x, y) = (WIDTH - RIGHT + LEFT + 24.0, TOP + 14.0 + index as f64 * 18.0);
            written(
                &mut out,
                format_args!(
                    "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{}\"/>\n",
                    y - 10.0,
                    colour(index)
                ),
            );
            out += &text(x + 18.0, y, "start", &escaped(name));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(100.0).collect::<Vec<_>>(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(36.7).collect::<Vec<_>>(), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(ticks(0.4).count(), 5);
    }

    #[test]
    fn a_point_stands_inside_the_picture_and_more_is_higher() {
        let series = |name: &str, points: &[(f64, f64)]| Series {
            name: name.into(),
            strong: false,
            points: points.to_vec(),
        };
        let lines = Lines {
            title: "a < b".into(),
            x: "octets".into(),
            y: "Gbit/s".into(),
            series: vec![series("one", &[(64.0, 1.0), (1420.0, 30.0)])],
        };
        let scale = lines.scale();
        assert_eq!((scale.x(64.0), scale.x(1420.0).round()), (LEFT, WIDTH - RIGHT));
        assert!(scale.y(30.0) > TOP && scale.y(30.0) < scale.y(1.0));
        assert!(lines.svg().contains("a &lt; b"));
    }
}
