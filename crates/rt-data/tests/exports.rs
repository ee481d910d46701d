//! Logs as other programs write them: times of every kind, files without a header, missing ids, quotes, packed and partitioned files.

mod common;

use common::{Folder, csv, csv_error, events, file_error, relative, value};
use rt_data::{Dataset, FeatureSpec, MissingIds, ReadOptions, SearchOptions, TimeUnit, read, read_searches};

fn plain(name: &str, text: impl AsRef<[u8]>) -> Dataset {
    csv(name, text, &ReadOptions::default())
}

fn col(name: &str) -> Option<String> {
    Some(name.to_owned())
}

/// The only note of a data set.
fn note(data: &Dataset) -> &str {
    assert_eq!(data.notes.len(), 1, "{:?}", data.notes);
    &data.notes[0]
}

#[test]
fn times_of_every_unit_are_seconds() {
    let seconds = ["u a 1600000000", "u b 1600000001", "u c 1600432000"];
    let span = "events from 2020-09-13 to 2020-09-18";
    for (times, said) in [
        (["1600000000", "1600000001", "1600432000"], None),
        (["1600000000.9", "1600000001.0", "1600432000"], Some("fractions of seconds")),
        (["1600000000123", "1600000001999", "1600432000000"], Some("milliseconds")),
        (["1600000000123.5", "1600000001999", "1600432000000"], Some("milliseconds")),
        (["1600000000123456", "1600000001000000", "1600432000000000"], Some("microseconds")),
        (["1600000000123456789", "1600000001000000000", "1600432000000000000"], Some("nanoseconds")),
        (["20200913122640", "20200913122641", "20200918122640"], Some("calendar days")),
        (["2020-09-13T12:26:40Z", "2020-09-13T14:26:41.9+02:00", "2020-09-18T12:26:40Z"], Some("dates:")),
        (["2020-09-13 12:26:40", "2020-09-13 12:26:41", "2020-09-18 12:26:40"], Some("without a zone taken as UTC")),
    ] {
        // Not in the order of time.
        let text = format!("user,item,time\nu,c,{}\nu,a,{}\nu,b,{}\n", times[2], times[0], times[1]);
        let data = plain("d.csv", text);
        assert_eq!(events(&data), seconds, "{times:?}");
        assert_eq!(data.event_bytes(), 3 * 8, "4 bytes a time");
        match said {
            Some(said) => {
                assert!(note(&data).contains(said) && note(&data).contains(span), "{times:?}: {:?}", data.notes)
            }
            None => assert!(data.notes.is_empty(), "{:?}", data.notes),
        }
    }
    let days = plain("d.csv", "user,item,time\nu,a,20200913\nu,b,20200301\n");
    assert_eq!(events(&days), ["u b 1583020800", "u a 1599955200"]);
    let dates = plain("d.csv", "user,item,time\nu,a,2020-09-13\nu,b,2020/03/01\n");
    assert_eq!(events(&dates), events(&days));
    // Places in an order are no clock and stay.
    assert_eq!(events(&plain("d.csv", "user,item,time\nu,a,2\nu,b,1\n")), ["u b 1", "u a 2"]);
}

#[test]
fn a_unit_that_is_given_and_kinds_that_are_mixed() {
    let with = |unit| ReadOptions { time_unit: Some(unit), ..ReadOptions::default() };
    let text = "user,item,time\nu,a,20200913\nu,b,5000\n";
    let data = csv("d.csv", text, &with(TimeUnit::Milliseconds));
    assert_eq!(events(&data), ["u b 5", "u a 20200"]);
    assert_eq!(note(&data), "times of d.csv are milliseconds: events from 1970-01-01 to 1970-01-01");
    let text = "user,item,time\nu,a,1600000000123\n";
    let data = csv("d.csv", text, &with(TimeUnit::Seconds));
    assert_eq!((events(&data), data.notes.len()), (vec!["u a 1600000000123".to_owned()], 0));
    assert_eq!(
        file_error("d.csv", "user,item,time\nu,a,20201313\n", &with(TimeUnit::Calendar)),
        "d.csv, line 2, column time: `20201313` is no date in the form YYYYMMDD"
    );
    for (text, wanted) in [
        (
            "1600000000\nu,b,2020-09-13",
            "line 3, column time: `2020-09-13` is a date, and the times before it are numbers",
        ),
        (
            "2020-09-13\nu,b,1600000000",
            "line 3, column time: `1600000000` is a number, and the times before it are dates",
        ),
    ] {
        let error = csv_error(&format!("user,item,time\nu,a,{text}\n"));
        assert!(error.contains(wanted), "{error}");
    }
    // Each file has its own unit, and so have its rows that were shown and not clicked; the notes are one a unit.
    let folder = Folder::new();
    folder.put("a.csv", "user,item,time,y\nu,a,1600000000,1\nu,x,1600000000,0\n");
    folder.put("b.csv", "user,item,time,y\nu,b,1600000001000,1\nu,y,1600000001500,0\nu,c,1600000002000,1\n");
    folder.put("c.csv", "user,item,time,y\nu,d,1600000003000,1\n");
    let data = read(folder.path(), &ReadOptions { label_col: col("y"), ..ReadOptions::default() }).unwrap();
    assert_eq!(events(&data), ["u a 1600000000", "u b 1600000001", "u c 1600000002", "u d 1600000003"]);
    assert!(note(&data).starts_with("times of b.csv and 1 more are milliseconds"), "{:?}", data.notes);
    let exposed = data.exposed.as_ref().unwrap();
    let shown = |event| exposed.of(event).map(|place| data.items.raw(exposed.items[place])).collect::<Vec<_>>();
    assert_eq!((shown(1), shown(2)), (vec!["x", "y"], vec!["x", "y"]));
    // Searches have a unit of their own too.
    let searches = folder.put("s.csv.txt", "user,query,time\nu,jazz,1600000001500\n");
    let searches = read_searches(&searches, &SearchOptions::default(), &data).unwrap();
    assert_eq!(searches.time.get(0), Some(1_600_000_001));
}

#[test]
fn files_without_a_header() {
    let taobao = "1,5,3,pv,1600000000\n2,6,3,pv,1600000007\n1,7,4,buy,1600000009\n";
    let wanted = ["1 5 1600000000", "1 7 1600000009", "2 6 1600000007"];
    let error = csv_error(taobao);
    assert!(
        error.contains("looks like data") && error.contains("--no-header") && error.contains("--time-col 5"),
        "{error}"
    );
    let headless = ReadOptions { no_header: true, ..ReadOptions::default() };
    let by_number =
        ReadOptions { user_col: col("1"), item_col: col("2"), time_col: col("5"), ..ReadOptions::default() };
    for (options, said) in [
        (headless.clone(), "{} has no header: the user is column 1, the item column 2, the time column 5"),
        (ReadOptions { no_header: true, ..by_number.clone() }, "{} has no header"),
        // By number, and what stands there in the first line is no name.
        (by_number.clone(), "looks like data"),
    ] {
        let data = csv("UserBehavior.csv", taobao, &options);
        assert_eq!(events(&data), wanted);
        assert!(
            data.notes.iter().any(|note| note.contains(&said.replace("{}", "UserBehavior.csv"))),
            "{:?}",
            data.notes
        );
    }
    let features = vec![FeatureSpec::parse("4").unwrap()];
    let data = csv("d.csv", taobao, &ReadOptions { context: features, ..headless.clone() });
    assert_eq!(value(&data.event_features, "4", 1), "buy");
    assert_eq!(
        file_error("d.csv", taobao, &ReadOptions { item_col: col("shop"), ..headless.clone() }),
        "d.csv, line 1: no column `shop`: without a header they are numbers, 1, 2, 3, 4, 5"
    );
    assert_eq!(file_error("d.csv", "1,2\n1,2,3\n", &headless), "d.csv, line 2: 3 fields where the first line has 2");

    // With a header the numbers count too, and a name goes before a number.
    let named = "2,user,1\n7,u,9\n";
    assert_eq!(events(&csv("d.csv", named, &ReadOptions { item_col: col("1"), ..ReadOptions::default() })), ["u 9"]);
    assert_eq!(
        events(&csv(
            "d.csv",
            "x,y,z\nu,a,b\n",
            &ReadOptions { user_col: col("3"), item_col: col("2"), ..ReadOptions::default() }
        )),
        ["b a"]
    );

    // Lines of integers: a third column of large numbers, and columns in another order.
    let data = plain("log.txt", "1 5 1600000007\n1 6 1600000000\n");
    assert_eq!(events(&data), ["1 6 1600000000", "1 5 1600000007"]);
    assert!(note(&data).contains("third column"), "{:?}", data.notes);
    assert_eq!(events(&plain("log.txt", "1 5 4\n1 6 2\n")), ["1 5", "1 6"]);
    assert_eq!(events(&plain("log.txt", "1 5 1600000007 4\n1 6 1600000000 2\n")), ["1 6 1600000000", "1 5 1600000007"]);
    let turned = ReadOptions { user_col: col("2"), item_col: col("1"), ..ReadOptions::default() };
    assert_eq!(events(&csv("r.dat", "5::1::3::1600000007\n", &turned)), ["1 5 1600000007"]);
    // Gowalla: more columns than user, item, rating, time.
    let gowalla = ReadOptions { item_col: col("5"), time_col: col("2"), ..headless };
    let data = csv("g.txt", "0\t2010-10-19T23:55:27Z\t30.2\t-97.7\t22847\n", &gowalla);
    assert_eq!(events(&data), ["0 22847 1287532527"]);
}

#[test]
fn recbole_files() {
    let text =
        "user_id:token\titem_id:token\tage:float\ttimestamp:float\tgenres:token_seq\n7\t5\t30\t1600000000.0\ta b\n";
    let spec = |text| vec![FeatureSpec::parse(text).unwrap()];
    let options = ReadOptions {
        user_features: spec("age:float"),
        item_features: spec("genres:token_seq"),
        ..ReadOptions::default()
    };
    let folder = Folder::new();
    folder.put("toy.inter", text);
    folder.put("toy.item", "item_id:token\n5\n");
    let data = read(folder.path(), &options).unwrap();
    assert_eq!(events(&data), ["7 5 1600000000"]);
    assert_eq!(
        (value(&data.user_features, "age", 1), value(&data.item_features, "genres", 1)),
        ("30".into(), "a|b".into())
    );
    // The names as they stand there too.
    let full = ReadOptions { user_col: col("item_id:token"), item_col: col("user_id:token"), ..ReadOptions::default() };
    assert_eq!(events(&csv("toy.inter", text, &full)), ["5 7 1600000000"]);
}

#[test]
fn words_for_no_id() {
    let text = "user,item,time\nu,a,1\nNA,a,2\n,b,3\nnan,c,4\nu,NULL,5\nu,b,6\n";
    let data = plain("d.csv", text);
    assert_eq!(events(&data), ["u a 1", "u b 6"]);
    assert_eq!((data.left_out.missing, data.users.rows(), data.items.rows()), (4, 2, 3));
    assert_eq!(
        data.notes,
        [
            "3 rows without the id of a user are left out (empty: 1, NA: 1, nan: 1); --missing-ids keep takes the words for ids",
            "1 rows without the id of an item are left out (NULL: 1); --missing-ids keep takes the words for ids",
        ]
    );
    let keep = ReadOptions { missing_ids: MissingIds::Keep, ..ReadOptions::default() };
    let data = csv("d.csv", text, &keep);
    assert_eq!(events(&data), ["u a 1", "u NULL 5", "u b 6", "NA a 2", " b 3", "nan c 4"]);
    assert!(data.notes[0].contains("counts as an id"), "{:?}", data.notes);
    assert!(csv_error("user,item\nNA,a\n").contains("all 1 rows"));

    let mut log = String::from("user,item\n");
    (0..40).for_each(|n| log += &format!("{},i{n}\n", if n % 2 == 0 { "guest".into() } else { format!("u{n}") }));
    let data = plain("d.csv", log);
    assert_eq!(note(&data), "user `guest` has 20 of all 40 events, 50 %: is that one person?");
}

#[test]
fn integers_that_were_written_as_floats() {
    let folder = Folder::new();
    folder.put("a.csv", "user,item\n1,10\n2,11\n");
    folder.put("b.csv", "user,item\nNA,10.0\n1.0,11.0\n-3.0,12.0\n");
    let data = read(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(events(&data), ["1 10", "1 11", "2 11", "-3 12"]);
    assert_eq!(data.notes.iter().filter(|note| note.starts_with("b.csv: all ids of the column")).count(), 2);
    // One that is no float, wherever it stands, and all stay.
    for text in ["user,item\n1.0,a\n2.5,a\n", "user,item\n1.0,a\n2,a\n", "user,item\n2,a\n1.0,a\n"] {
        let data = plain("d.csv", text);
        assert!(data.users.get("1.0").is_some() && data.users.get("1").is_none());
        assert!(note(&data).contains("5.0 is not 5"), "{:?}", data.notes);
    }
}

#[test]
fn quotes_that_are_left_open() {
    let row = |n: u32, title: &str| format!("{},{n},{},{title}\n", n % 7, 1_600_000_000 + n);
    let log = |titles: &dyn Fn(u32) -> String| {
        let rows: String = (0..50).map(|n| row(n, &titles(n))).collect();
        format!("user,item,time,title\n{rows}")
    };
    let open = |n: u32| match n {
        20 => "\"Heroes".to_owned(),
        40 => "Single 12\"".to_owned(),
        _ => "x".to_owned(),
    };
    let error = csv_error(&log(&open));
    assert!(error.starts_with("d.csv, line 22, column title: a quote is opened here and takes in line 23"), "{error}");
    assert!(error.contains("\"\""), "the remedy: {error}");
    let never = |n: u32| if n == 49 { "\"Heroes".to_owned() } else { "x".into() };
    assert!(csv_error(&log(&never)).starts_with("d.csv, line 51, column title: a quote is opened and never closed"));

    // In TSV such quotes are characters.
    let data = plain("d.tsv", log(&open).replace(',', "\t"));
    assert_eq!(data.event_item.len(), 50);
    assert_eq!(data.title(data.items.get("20").unwrap()), "\"Heroes");
    assert_eq!(plain("d.tsv", log(&never).replace(',', "\t")).event_item.len(), 50);
    let data = plain("d.tsv", "user\titem\ttitle\nu\ta\t\"one \"\"two\"\"\"\nu\tb\t\"x\ty\"\nu\tc\t\"a\" b\n");
    assert_eq!([1, 2, 3].map(|item| data.title(item).to_owned()), ["one \"two\"", "x\ty", "\"a\" b"]);

    // Line breaks that belong to a text, with commas as many as rows have.
    let lines = |n: u32| match n {
        20 => "\"one\ntwo, and three, four, five\n\n1, 2, 3, four\"".to_owned(),
        _ => format!("\"a\nb {n}\""),
    };
    for (name, text) in [("d.csv", log(&lines)), ("d.tsv", log(&lines).replacen(',', "\t", 3))] {
        let text = if name == "d.tsv" { log(&lines).replace(", ", "; ").replace(',', "\t") } else { text };
        let data = plain(name, text);
        assert_eq!(data.event_item.len(), 50, "{name}");
        assert_eq!(data.title(1), "a\nb 0", "{name}");
    }
    // In the middle of a row, with as many delimiters before its end as make a row of that line.
    for (name, separator) in [("d.csv", ','), ("d.tsv", '\t')] {
        let text = "user,title,item,time\nu,x,a,5\nu,\"one\ntwo, three\",b,6\nu,\"\"\"one\"\"\n \\\",c,7\n";
        let text = text.replace(", ", "#").replace(',', &separator.to_string()).replace('#', &format!("{separator} "));
        let data = plain(name, text);
        assert_eq!(events(&data), ["u a 5", "u b 6", "u c 7"]);
        assert_eq!((data.title(2), data.title(3)), (&*format!("one\ntwo{separator} three"), "\"one\"\n \\"));
    }
    let texts = plain("d.csv", "user,item,title\nu,a,\"Great, fun\nand nice\"\nu,b,x\n");
    assert_eq!(texts.title(1), "Great, fun\nand nice");
}

#[test]
fn quotes_behind_a_backslash() {
    let data = plain(
        "d.csv",
        "user;item;title\n\"u\";\"a\";\"12\\\"\"\n\"u\";\"b\";\"The \\\"Best\\\" of \\\\ b\"\n\"u\";\"c\";\"a \\\"x\\\";y\"\n",
    );
    assert_eq!([1, 2, 3].map(|item| data.title(item).to_owned()), ["12\"", "The \"Best\" of \\ b", "a \"x\";y"]);
    // A backslash that ends a field is one where quotes are doubled.
    let data = plain("d.csv", "user,item,title\nu,a,\"C:\\\"\nu,b,\"say \"\"x\"\"\"\nu,c,\"D:\\\"\n");
    assert_eq!([1, 2, 3].map(|item| data.title(item).to_owned()), ["C:\\", "say \"x\"", "D:\\"]);
}

#[test]
fn windows_1252() {
    let data = plain("d.csv", b"user,item,title\nu,a,\x93caf\xe9\x94 \x96 5 \x80\n");
    assert_eq!(data.title(1), "“café” – 5 €");
    assert_eq!(note(&data), "d.csv is not UTF-8: read as Windows-1252 (Latin-1)");
}

#[cfg(feature = "gzip")]
#[test]
fn packed_files() {
    let pack = |text: &str| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut out, text.as_bytes()).unwrap();
        out.finish().unwrap()
    };
    let folder = Folder::new();
    // Two packed ones behind each other are one; the name before `.gz` says what separates.
    folder.put("a.tsv.gz", [pack("user\titem,x\ttime\nu\ta,b\t2\n"), pack("u\tc\t1\n")].concat());
    let options = ReadOptions { item_col: col("item,x"), ..ReadOptions::default() };
    assert_eq!(events(&read(folder.path(), &options).unwrap()), ["u c 1", "u a,b 2"]);
    // Packed under another name.
    assert_eq!(events(&csv("log.csv", pack("user,item\nu,a\n"), &ReadOptions::default())), ["u a"]);
    let cut = pack(&"user,item\nu,a\n".repeat(500));
    assert!(file_error("a.csv.gz", &cut[..cut.len() / 2], &ReadOptions::default()).starts_with("a.csv.gz: "));
    for (bytes, what) in [(&b"PK\x03\x04..."[..], "zip"), (b"\x28\xb5\x2f\xfd...", "zstd"), (b"BZh9...", "bzip2")] {
        let error = file_error("a.csv", bytes, &ReadOptions::default());
        assert!(error.contains(what) && error.contains("unpack"), "{error}");
    }
}

#[cfg(feature = "json")]
#[test]
fn json_lines() {
    let text = "{\"reviewerID\": \"u\", \"asin\": 5, \"unixReviewTime\": 1600000007, \"tags\": [\"x\", \"y\"], \"price\": null}\n\n\
                {\"asin\": \"6\", \"reviewerID\": \"u\", \"unixReviewTime\": \"2020-09-13T12:26:40Z\", \"price\": 2.5, \"other\": {}}\n";
    let options = ReadOptions {
        item_features: ["tags:bag", "price:number"].map(|spec| FeatureSpec::parse(spec).unwrap()).to_vec(),
        ..ReadOptions::default()
    };
    let mixed = file_error("d.jsonl", text, &options);
    assert!(mixed.starts_with("d.jsonl, line 3, column unixReviewTime: "), "{mixed}");
    let data = csv("d.log", text.replace("\"2020-09-13T12:26:40Z\"", "1600000000.9"), &options);
    assert_eq!(events(&data), ["u 6 1600000000", "u 5 1600000007"]);
    assert_eq!(
        (value(&data.item_features, "tags", 1), value(&data.item_features, "price", 2)),
        ("x|y".into(), "2.5".into())
    );
    let error = |text: &str| file_error("d.jsonl", text, &ReadOptions::default());
    assert!(error("{\"user\": 1, \"item\": 2}\n{\"user\": 1,\n").starts_with("d.jsonl, line 2: is no JSON object"));
    assert!(error("[{\"user\": 1}]\n").contains("one object a line"));
    assert_eq!(
        error("{\"user\": [1], \"item\": 2}\n"),
        "d.jsonl, line 1, column user: `[1]` is no id; a number or a text is wanted"
    );
    assert!(error("{\"who\": 1}\n").contains("no column for the user: the header has who"));
}

#[test]
fn folders_of_partitions() {
    let folder = Folder::new();
    let put = |partition: &str, name: &str, text: &str| {
        let inside = folder.path().join(partition);
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(inside.join(name), text).unwrap();
    };
    put("dt=2020-09-14/device=tv", "part-0.csv", "user,item\nu,b\n");
    put("dt=2020-09-13/device=a%20b", "part-0.csv", "user,item\nu,a\nv,b\n");
    put("dt=2020-09-13/device=__HIVE_DEFAULT_PARTITION__", "part-1", "user,item\nv,a\n");
    put("dt=2020-09-13/_temporary", "part-0.csv", "broken");
    put("notes", "x.csv", "broken");
    let context = vec![FeatureSpec::parse("device").unwrap()];
    let data = read(folder.path(), &ReadOptions { time_col: col("dt"), context, ..ReadOptions::default() }).unwrap();
    assert_eq!(events(&data), ["v a 1599955200", "v b 1599955200", "u a 1599955200", "u b 1600041600"]);
    let devices: Vec<String> = (0..4).map(|event| value(&data.event_features, "device", event)).collect();
    assert_eq!(devices, ["", "a b", "a b", "tv"]);
    let error = read(folder.path(), &ReadOptions { time_col: col("device"), ..ReadOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("column device of the folder's name"), "{error}");
}

#[test]
fn a_folder_with_a_file_of_ratings_is_not_movielens_for_that() {
    let folder = Folder::new();
    folder.put("ratings.csv", "user,item,rating,time\nu,a,5,7\n");
    assert_eq!(events(&read(folder.path(), &ReadOptions::default()).unwrap()), ["u a 7"]);
    folder.put("more.csv", "user,item,rating,time\nu,b,5,9\n");
    assert_eq!(events(&read(folder.path(), &ReadOptions::default()).unwrap()), ["u a 7", "u b 9"]);
    folder.put("movies.csv", "item,title\na,A\n");
    let error = read(folder.path(), &ReadOptions::default()).unwrap_err().to_string();
    assert!(relative(folder.path(), &error).starts_with("movies.csv, line 1: no column for the user"), "{error}");
}
