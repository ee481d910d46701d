//! `recall audit`: looks for leaks in data and split, before anything is trained.

use crate::args::{Audit, Global};
use crate::fail::{Done, Fail};
use crate::output;
use rt_data::Severity;
use rt_models::Device;
use rt_models::eval::Protocol;

pub(crate) fn run(global: &Global, args: &Audit) -> Done {
    output::check_json(global)?;
    let source = args.data.read()?;
    output::note_data(global, &source.data);
    output::note_searches(global, source.data.searches.as_ref());
    let findings = rt_data::audit(&source.data, &source.split);
    let word = |severity: Severity| match severity {
        Severity::Clean => "clean",
        Severity::Note => "note",
        Severity::Leak => "LEAK",
    };
    let mut table = output::table(&["check", "column", "result", "count", "of"]);
    for finding in &findings {
        table.add_row([
            finding.check.to_owned(),
            finding.column.clone().unwrap_or_default(),
            word(finding.severity).to_owned(),
            finding.count.to_string(),
            finding.of.to_string(),
        ]);
    }
    say!("{table}");
    for finding in findings.iter().filter(|finding| finding.severity != Severity::Clean) {
        let column = finding.column.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        say!(
            "{} {}{column}: {} of {} {}",
            word(finding.severity),
            finding.check,
            finding.count,
            finding.of,
            finding.what
        );
    }
    output::print_left_out(&source.data.left_out);
    let row = |finding: &rt_data::Finding| {
        serde_json::json!({
            "check": finding.check, "column": finding.column, "result": word(finding.severity).to_lowercase(),
            "count": finding.count, "of": finding.of, "what": finding.what,
        })
    };
    let rows = findings.iter().map(row).collect();
    let protocol = Protocol::new(&source.data, &source.split, args.data.request_time());
    let mut more = serde_json::Map::new();
    more.insert("data".into(), source.data.name.clone().into());
    more.insert("left_out".into(), output::left_out(&source.data.left_out));
    more.insert("notes".into(), source.data.notes.clone().into());
    output::insert_searches(&mut more, source.data.searches.as_ref());
    let device = output::device_name(&Device::cpu(1)?);
    // The figures are the point of the command, so they are written although it ends with exit code 2.
    output::write_json(global, "audit", device, Some(protocol), rows, more)?;
    let leaks = findings.iter().filter(|finding| finding.severity == Severity::Leak).count();
    if leaks > 0 {
        return Err(Fail::user(format!("{}: {leaks} leak(s): a test on this data says nothing", source.data.name)));
    }
    Ok(())
}
