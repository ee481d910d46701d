//! The roofline plot: what each kernel reaches beside what the machine's memory and arithmetic allow.
//! Source: Williams, Waterman and Patterson, "Roofline", CACM 2009.

use super::Row;
use super::ceilings::Ceilings;
use crate::fail::{Done, Fail};
use plotters::prelude::*;
use std::path::Path;

/// Kernels without arithmetic stand at the left edge, at the operations a second of one operation every so many bytes.
const LEAST: f64 = 1.0 / 64.0;

/// Refuses a file that cannot be written, before hours of measuring.
pub(super) fn check(path: &Path) -> Done {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() || !folder.is_dir() {
        return Err(Fail::user(format!("--plot {}: not a file in a folder that exists", path.display())));
    }
    Ok(())
}

/// A kernel's place: operations a byte, and GFLOP/s.
fn place(row: &Row) -> (f64, f64) {
    let (bytes, flops) = row.work;
    let intensity = (flops / bytes.max(1.0)).max(LEAST);
    (intensity, (row.gb_s * intensity).max(1e-3))
}

/// Writes the plot: points numbered as in the list at its side.
pub(super) fn write(path: &Path, device: &str, rows: &[Row], ceilings: &Ceilings) -> Done {
    let height = 700.max(60 + 14 * rows.len() as u32);
    let root = SVGBackend::new(path, (1500, height)).into_drawing_area();
    draw(&root, device, rows, ceilings).map_err(|error| Fail::machine(format!("--plot {}: {error}", path.display())))
}

fn draw(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    device: &str,
    rows: &[Row],
    ceilings: &Ceilings,
) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(880);
    let left = left.split_vertically(700).0;
    let highest = 2.0 * ceilings.fma_gflop_s;
    let most = rows.iter().map(|r| place(r).0).fold(64.0, f64::max) * 2.0;
    let lowest = rows.iter().map(|r| place(r).1).fold(1.0, f64::min) / 2.0;
    let mut chart = ChartBuilder::on(&left)
        .caption(device, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(60)
        .build_cartesian_2d((LEAST / 2.0..most).log_scale(), (lowest..highest).log_scale())?;
    chart.configure_mesh().x_desc("operations a byte").y_desc("GFLOP/s").light_line_style(WHITE).draw()?;
    let roof = |x: f64| (x * ceilings.copy_gb_s).min(ceilings.fma_gflop_s);
    let knee = ceilings.fma_gflop_s / ceilings.copy_gb_s;
    let line = [LEAST / 2.0, knee, most].map(|x| (x, roof(x)));
    chart.draw_series(LineSeries::new(line, BLACK.stroke_width(2)))?;
    let label = ("sans-serif", 11).into_font();
    for (i, row) in rows.iter().enumerate() {
        let (x, y) = place(row);
        let color = color(row);
        chart.draw_series([Circle::new((x, y), 3, color.filled())])?;
        chart.draw_series([Text::new((i + 1).to_string(), (x * 1.04, y * 1.04), label.clone().color(&color))])?;
    }
    let ceiling = format!(
        "memory {:.1} GB/s (copy), arithmetic {:.0} GFLOP/s; ms, and share of the ceiling:",
        ceilings.copy_gb_s, ceilings.fma_gflop_s
    );
    right.draw(&Text::new(ceiling, (0, 14), ("sans-serif", 13).into_font()))?;
    for (i, row) in rows.iter().enumerate() {
        let text = format!("{:>3}  {}  {:.3} ms  {:.0} %", i + 1, row.id, row.ms, 100.0 * row.roofline);
        right.draw(&Text::new(text, (0, 34 + 14 * i as i32), label.clone().color(&color(row))))?;
    }
    root.present()?;
    Ok(())
}

/// Naive variants are grey.
fn color(row: &Row) -> RGBColor {
    if row.id.contains("/naive/") { RGBColor(150, 150, 150) } else { RGBColor(20, 80, 160) }
}
