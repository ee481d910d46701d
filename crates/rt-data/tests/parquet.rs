//! Parquet files of every kind of column, whole and broken, and the made-up log.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Folder, events, relative, value};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType, Int32Type,
    Int64Type, Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use rt_data::{EventLog, FeatureSpec, ReadOptions, read};

/// A column of a row group; `None` is null.
#[derive(Clone)]
enum Values {
    Long(Vec<Option<i64>>),
    Int(Vec<Option<i32>>),
    Old(Vec<Option<Int96>>),
    Bool(Vec<Option<bool>>),
    Float(Vec<Option<f32>>),
    Double(Vec<Option<f64>>),
    Text(Vec<Option<&'static str>>),
    Bytes(Vec<Option<&'static [u8]>>),
    Fixed(Vec<Option<&'static str>>),
}

fn long(values: &[i64]) -> Values {
    Values::Long(values.iter().copied().map(Some).collect())
}

fn int(values: &[i32]) -> Values {
    Values::Int(values.iter().copied().map(Some).collect())
}

fn texts(values: &[&'static str]) -> Values {
    Values::Text(values.iter().copied().map(Some).collect())
}

/// Writes a file with a message type such as `required int64 user; ...` and row groups of columns.
fn write(path: &Path, fields: &str, compression: Compression, groups: &[Vec<Values>]) {
    let schema = Arc::new(parse_message_type(&format!("message m {{ {fields} }}")).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(std::fs::File::create(path).unwrap(), schema, properties).unwrap();
    for columns in groups {
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            let mut out = group.next_column().unwrap().unwrap();
            macro_rules! put {
                ($type:ty, $values:expr, $convert:expr) => {{
                    let levels: Vec<i16> = $values.iter().map(|value| i16::from(value.is_some())).collect();
                    let values: Vec<_> = $values.iter().flatten().cloned().map($convert).collect();
                    out.typed::<$type>().write_batch(&values, Some(&levels), None).unwrap()
                }};
            }
            match column {
                Values::Long(v) => put!(Int64Type, v, |x| x),
                Values::Int(v) => put!(Int32Type, v, |x| x),
                Values::Old(v) => put!(Int96Type, v, |x| x),
                Values::Bool(v) => put!(BoolType, v, |x| x),
                Values::Float(v) => put!(FloatType, v, |x| x),
                Values::Double(v) => put!(DoubleType, v, |x| x),
                Values::Text(v) => put!(ByteArrayType, v, |x: &str| ByteArray::from(x)),
                Values::Bytes(v) => put!(ByteArrayType, v, |x: &[u8]| ByteArray::from(x.to_vec())),
                Values::Fixed(v) => {
                    put!(FixedLenByteArrayType, v, |x: &str| FixedLenByteArray::from(x.as_bytes().to_vec()))
                }
            };
            out.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn file(folder: &Folder, fields: &str, groups: &[Vec<Values>]) -> PathBuf {
    let path = folder.path().join("d.parquet");
    write(&path, fields, Compression::SNAPPY, groups);
    path
}

fn read_all(fields: &str, groups: &[Vec<Values>], options: &ReadOptions) -> Result<rt_data::Dataset, String> {
    let folder = Folder::new();
    let path = file(&folder, fields, groups);
    read(&path, options).map_err(|e| relative(folder.path(), &e.to_string()))
}

/// Type and name, and values, of user, item and time, and what is read.
type Typed<'a> = (&'a str, Values, &'a str, Values, &'a str, Values, [&'a str; 2]);

#[test]
fn ids_of_every_type_and_times_of_every_unit() {
    let options = ReadOptions::default();
    // 1970-01-02 in Julian days, and 5.9 seconds of it in nanoseconds.
    let mut old = Int96::new();
    let nanos = 5_900_000_000u64;
    old.set_data(nanos as u32, (nanos >> 32) as u32, 2_440_589);
    let cases: Vec<Typed<'_>> = vec![
        (
            "int64 user",
            long(&[7, -3]),
            "int64 item",
            long(&[1, 1 << 40]),
            "int64 time",
            long(&[5, -6]),
            ["7 1 5", "-3 1099511627776 -6"],
        ),
        (
            "int32 user (UINT_32)",
            int(&[-1, 4]),
            "int64 item (UINT_64)",
            long(&[-1, 2]),
            "int64 time (TIMESTAMP_MILLIS)",
            long(&[1_999, -1]),
            ["4294967295 18446744073709551615 1", "4 2 -1"],
        ),
        (
            "binary user (UTF8)",
            texts(&["ann", "007"]),
            "binary item",
            texts(&["é", " b "]),
            "int64 time (TIMESTAMP(MICROS,true))",
            long(&[2_000_000, 3_999_999]),
            ["ann é 2", "007 b 3"],
        ),
        (
            "fixed_len_byte_array(2) user",
            Values::Fixed(vec![Some("ab"), Some("cd")]),
            "int32 item (INT_8)",
            int(&[9, 8]),
            "int64 time (TIMESTAMP(NANOS,false))",
            long(&[4_000_000_000, 1]),
            ["ab 9 4", "cd 8 0"],
        ),
        (
            "int32 user",
            int(&[1, 2]),
            "int32 item",
            int(&[3, 4]),
            "int96 time",
            Values::Old(vec![Some(old), Some(old)]),
            ["1 3 86405", "2 4 86405"],
        ),
        (
            "int32 user",
            int(&[1, 2]),
            "int32 item",
            int(&[3, 4]),
            "int32 time (DATE)",
            int(&[2, 1]),
            ["1 3 172800", "2 4 86400"],
        ),
        (
            "int32 user",
            int(&[1, 2]),
            "int32 item",
            int(&[3, 4]),
            "double time",
            Values::Double(vec![Some(9.7e8), Some(2.0)]),
            ["1 3 970000000", "2 4 2"],
        ),
        (
            "int32 user",
            int(&[1, 2]),
            "int32 item",
            int(&[3, 4]),
            "binary time (UTF8)",
            texts(&["8", "-9"]),
            ["1 3 8", "2 4 -9"],
        ),
    ];
    for (user_type, user, item_type, item, time_type, time, want) in cases {
        for presence in ["required", "optional"] {
            let fields = format!("{presence} {user_type}; {presence} {item_type}; {presence} {time_type};");
            let columns = vec![user.clone(), item.clone(), time.clone()];
            assert_eq!(events(&read_all(&fields, &[columns], &options).unwrap()), want, "{fields}");
        }
    }
}

#[test]
fn integer_ids_are_those_of_text() {
    // 7 as an integer and `7` as text are one user; so are large ones.
    let folder = Folder::new();
    let big = 123_456_789_012;
    write(
        &folder.path().join("a.parquet"),
        "required int64 user; required int64 item;",
        Compression::UNCOMPRESSED,
        &[vec![long(&[7, big]), long(&[1, 2])]],
    );
    folder.put("b.csv", "user,item\n7,2\n123456789012,1\n");
    let data = read(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(events(&data), ["7 1", "7 2", "123456789012 2", "123456789012 1"]);
}

#[test]
fn many_row_groups_and_blocks() {
    // Blocks are 8,192 rows long: groups below, above and at that size; nulls in a column in every third row.
    let sizes = [1usize, 8_192, 0, 20_000, 8_193];
    let mut groups = Vec::new();
    let mut number = 0i64;
    for size in sizes {
        let rows: Vec<i64> = (number..number + size as i64).collect();
        number += size as i64;
        let tag = rows.iter().map(|row| (row % 3 != 0).then_some(if row % 2 == 0 { "even" } else { "odd" }));
        groups.push(vec![
            long(&rows.iter().map(|row| row % 97).collect::<Vec<_>>()),
            Values::Text(tag.collect()),
            long(&rows),
            int(&rows.iter().map(|row| (row % 89) as i32).collect::<Vec<_>>()),
        ]);
    }
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        let folder = Folder::new();
        // By its first bytes, whatever its name says.
        let path = folder.path().join("d.csv");
        let fields = "required int64 user; optional binary tag (UTF8); required int64 ts; required int32 item;";
        write(&path, fields, compression, &groups);
        let context = vec![FeatureSpec::parse("tag").unwrap()];
        let data = read(&path, &ReadOptions { context, ..ReadOptions::default() }).unwrap();
        assert_eq!(data.event_item.len(), number as usize);
        for event in 0..data.event_item.len() {
            let row = data.time(event);
            assert_eq!(data.users.raw(data.user_of(event)), (row % 97).to_string());
            assert_eq!(data.items.raw(data.event_item[event]), (row % 89).to_string());
            let tag = ["", "odd", "even", "", "even", "odd"][(row % 6) as usize];
            assert_eq!(value(&data.event_features, "tag", event), tag, "row {row}");
        }
    }
}

#[test]
fn features_and_names_that_are_given() {
    let fields = "optional int64 who; optional binary what (UTF8); optional double price; optional float age;
                  optional boolean hot; optional binary genres (UTF8); optional binary name (UTF8);";
    let columns = vec![
        long(&[1, 1, 2]),
        texts(&["x", "y", "x"]),
        Values::Double(vec![Some(1.5), Some(2.0), Some(1.5)]),
        Values::Float(vec![Some(30.0), Some(30.0), Some(41.5)]),
        Values::Bool(vec![Some(true), Some(false), None]),
        Values::Text(vec![Some("a|b"), None, Some("a|b")]),
        texts(&["X", "Y", "X"]),
    ];
    let spec = |text: &str| FeatureSpec::parse(text).unwrap();
    let options = ReadOptions {
        user_col: Some("who".into()),
        item_col: Some("what".into()),
        title_col: Some("name".into()),
        user_features: vec![spec("age:number")],
        item_features: vec![spec("price:number"), spec("genres:bag")],
        context: vec![spec("hot")],
        ..ReadOptions::default()
    };
    let data = read_all(fields, std::slice::from_ref(&columns), &options).unwrap();
    assert_eq!(events(&data), ["1 x", "1 y", "2 x"]);
    assert_eq!((data.title(1), data.title(2)), ("X", "Y"));
    let user = |row| value(&data.user_features, "age", row);
    assert_eq!((user(1), user(2)), ("30".into(), "41.5".into()));
    assert_eq!(
        (value(&data.item_features, "price", 1), value(&data.item_features, "price", 2)),
        ("1.5".into(), "2".into())
    );
    assert_eq!(
        (value(&data.item_features, "genres", 1), value(&data.item_features, "genres", 2)),
        ("a|b".into(), "".into())
    );
    assert_eq!([0, 1, 2].map(|event| value(&data.event_features, "hot", event)), ["true", "false", ""]);
    let number = ReadOptions { item_features: vec![spec("genres:number")], ..options };
    assert_eq!(
        read_all(fields, &[columns], &number).unwrap_err(),
        "d.parquet, row group 0, row 1, column genres: `a|b` is not a finite number"
    );
}

#[test]
fn ids_that_pandas_made_floats_of() {
    let fields = "optional double user; required int64 item; required double time;";
    let user = Values::Double(vec![Some(7.0), None, Some(f64::NAN), Some(8.0)]);
    let time = Values::Double([1.6e9 + 0.5, 1.6e9, 1.6e9, 1.6e9].map(Some).to_vec());
    let data = read_all(fields, &[vec![user, long(&[1, 2, 3, 4]), time]], &ReadOptions::default()).unwrap();
    assert_eq!(events(&data), ["7 1 1600000000", "8 4 1600000000"]);
    assert_eq!(data.left_out.missing, 2);
    assert!(data.notes.iter().any(|note| note.contains("read as integers")), "{:?}", data.notes);
}

#[test]
fn errors_name_file_group_row_and_column() {
    let three = "optional int64 user; optional int64 item; optional int64 time;";
    let good = vec![long(&[1, 2]), long(&[3, 4]), long(&[5, 6])];
    let null = |v: [Option<i64>; 2]| Values::Long(v.to_vec());
    let wrong = |fields: &str, groups: &[Vec<Values>]| read_all(fields, groups, &ReadOptions::default()).unwrap_err();
    assert_eq!(
        wrong(three, &[good.clone(), vec![long(&[1, 2]), long(&[3, 4]), null([Some(3), None])]]),
        "d.parquet, row group 1, row 2, column time: the time is missing"
    );
    assert_eq!(
        wrong(three, &[vec![long(&[1, 2]), long(&[3, 4]), null([None, Some(1)])]]),
        "d.parquet, row group 0, row 1, column time: the time is missing"
    );
    assert_eq!(
        wrong("required boolean user; required int64 item;", &[vec![Values::Bool(vec![Some(true)]), long(&[2])]]),
        "d.parquet, row group 0, row 1, column user: holds no ids; integers or strings are wanted"
    );
    assert_eq!(
        wrong(
            "required binary user; required int64 item;",
            &[vec![Values::Bytes(vec![Some(b"\xff\xfe")]), long(&[2])]]
        ),
        "d.parquet, row group 0, row 1, column user: holds bytes that are no UTF-8 text"
    );
    assert_eq!(
        wrong(
            "required int64 user; required int64 item; required double time;",
            &[vec![long(&[2]), long(&[2]), Values::Double(vec![Some(f64::INFINITY)])]]
        ),
        "d.parquet, row group 0, row 1, column time: `inf` is no time; a number (seconds, milliseconds, microseconds, YYYYMMDD) \
         or ISO-8601 (2020-09-13T12:26:40Z) is wanted"
    );
    assert_eq!(
        wrong("required int64 who; required int64 item;", &[vec![long(&[2]), long(&[2])]]),
        "d.parquet: no column for the user: the header has who, item; rename one to `user` or name it (`--user-col`)"
    );
    assert_eq!(
        wrong("required int64 user; required int64 item (DECIMAL(9,2));", &[vec![long(&[2]), long(&[2])]]),
        "d.parquet: the column `item` is a decimal; write it as an integer, a float or a string"
    );
    assert_eq!(
        wrong("required group user { required int64 id; } required int64 item;", &[vec![long(&[2]), long(&[2])]]),
        "d.parquet: no column for the user: the header has user.id, item; rename one to `user` or name it (`--user-col`)"
    );
    assert_eq!(wrong(three, &[]), "d.parquet: no interaction in the file");
    let named = ReadOptions { user_col: Some("nobody".into()), ..ReadOptions::default() };
    assert_eq!(
        read_all(three, std::slice::from_ref(&good), &named).unwrap_err(),
        "d.parquet: no column `nobody`; the file has: user, item, time"
    );

    let folder = Folder::new();
    let path = file(&folder, three, &[good]);
    let bytes = std::fs::read(&path).unwrap();
    let refuse = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        relative(folder.path(), &read(&path, &ReadOptions::default()).unwrap_err().to_string())
    };
    for broken in [&bytes[..bytes.len() / 2], b"PAR1"] {
        assert!(refuse(broken).starts_with("d.parquet: is no Parquet file, or is truncated: "));
    }
    assert!(refuse(b"").starts_with("d.parquet: the file is empty"));
    // Damage inside a page is an error too, never a panic or a wrong number of rows.
    let mut damaged = bytes.clone();
    damaged[4..40].fill(0xff);
    assert!(refuse(&damaged).starts_with("d.parquet, row group 0, row 1, column user: cannot be read: "));
}

#[test]
fn made_up_logs_are_the_same_every_time() {
    let folder = Folder::new();
    let log = EventLog { rows: 5_000, users: 60, items: 90, row_group: 1_700, seed: 3 };
    let write = |log: &EventLog, name: &str| {
        let path = folder.path().join(name);
        log.write(&path).unwrap();
        path
    };
    let (a, b) = (write(&log, "a.parquet"), write(&log, "b.parquet"));
    assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    let data = read(&a, &ReadOptions::default()).unwrap();
    assert_eq!((data.event_item.len(), data.users.rows() - 1), (5_000, 60));
    assert!(data.items.rows() - 1 <= 90 && data.items.rows() > 60, "{}", data.items.rows());
    assert!(!data.time_is_order && data.event_time.bytes() == 4 * 5_000);
    // Rows do not depend on the row groups; another seed gives other rows.
    let whole = read(&write(&EventLog { row_group: 1 << 20, ..log.clone() }, "c.parquet"), &ReadOptions::default());
    assert_eq!(events(&whole.unwrap()), events(&data));
    let other = read(&write(&EventLog { seed: 4, ..log.clone() }, "d.parquet"), &ReadOptions::default()).unwrap();
    assert_ne!(events(&other), events(&data));
    let error = EventLog { items: 0, ..log }.write(&folder.path().join("e.parquet")).unwrap_err().to_string();
    assert_eq!(error, "items = 0: has to be from 1 to 2147483647");
}
