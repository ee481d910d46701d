//! Tables and lists of interactions, well-formed and malformed.

mod common;

use common::{Folder, csv, csv_error, events, file_error, relative, value};
use rt_data::{FeatureSpec, ReadOptions, read_files};

const LATIN1_E: &[u8] = b"\xe9";

#[test]
fn tables_with_named_columns() {
    let options = ReadOptions::default();
    let text = "Item_ID;note;USER;Timestamp\n\n\"a;1\";x;u 1;5.0\n\"line\nbreak\";\"\";007;4\n b ; ;7;-3\n";
    let data = csv("d.csv", text, &options);
    assert_eq!(events(&data), ["u 1 a;1 5", "007 line\nbreak 4", "7 b -3"]);
    assert!(data.titles.is_empty());
    let data = csv("d.tsv", "userId\tasin\tts\nu,1\ta\t1\nu,1\tb\t3\n", &options);
    assert_eq!(events(&data), ["u,1 a 1", "u,1 b 3"]);
    let data = csv("d.txt", "user|item\n1|a\n1|b", &options);
    assert_eq!(events(&data), ["1 a", "1 b"]);
    let data =
        csv("d.csv", [b"user,item,title\n1,a,caf".as_slice(), LATIN1_E, b"\n1,b,x\n1,a,later\n"].concat(), &options);
    assert_eq!((data.title(1), data.title(2)), ("café", "x"));
    let named = ReadOptions {
        user_col: Some("who".into()),
        item_col: Some("what".into()),
        time_col: Some("when".into()),
        title_col: Some("name".into()),
        delimiter: Some(b'/'),
        ..ReadOptions::default()
    };
    let data = csv("d.csv", "user/what/who/when/time/name\n9/a/u/1/x/N\n", &named);
    assert_eq!(events(&data), ["u a 1"]);
    assert_eq!(data.title(1), "N");
}

#[test]
fn features_of_a_table() {
    let spec = |text: &str| FeatureSpec::parse(text).unwrap();
    let options = ReadOptions {
        user_features: vec![spec("country"), spec("age:number")],
        item_features: vec![spec("tags:bag;"), spec("price:number")],
        context: vec![spec("device"), spec("hour:number")],
        ..ReadOptions::default()
    };
    let head = "user,item,time,country,age,tags,price,device,hour\n";
    let text = format!("{head}u,a,9,,30,x; y,1.5,tv,1\nu,b,3,DE,31,y,2,phone,2\nv,a,5,SE,40,z,9,,3\n");
    let data = csv("d.csv", &text, &options);
    assert_eq!(events(&data), ["u b 3", "u a 9", "v a 5"]);
    assert_eq!(
        (value(&data.user_features, "country", 1), value(&data.user_features, "age", 1)),
        ("DE".into(), "30".into())
    );
    assert_eq!(
        (value(&data.item_features, "tags", 1), value(&data.item_features, "price", 1)),
        ("x|y".into(), "1.5".into())
    );
    let rows = |name| [0, 1, 2].map(|event| value(&data.event_features, name, event));
    assert_eq!(rows("device"), ["phone", "tv", ""], "context is sorted with the events");
    assert_eq!(rows("hour"), ["2", "1", "3"]);
    let missing = csv("d.csv", text.replace(",40,", ",,").replace(",9,,3", ",9,,"), &options);
    assert_eq!(value(&missing.user_features, "age", 2), "NaN", "an empty field is a missing number");
    assert_eq!(value(&missing.event_features, "hour", 2), "NaN");
    for (row, wanted) in [
        ("u,a,1,DE,NaN,x,1,tv,1", "d.csv, line 3, column age: `NaN` is not a finite number"),
        ("u,a,1,DE,30,x,inf,tv,1", "d.csv, line 3, column price: `inf` is not a finite number"),
        ("u,a,1,DE,x,x,1,tv,1", "d.csv, line 3, column age: `x` is not a finite number"),
    ] {
        let text = format!("{head}u,a,9,DE,30,x,1.5,tv,1\n{row}\n");
        assert_eq!(file_error("d.csv", text, &options), wanted);
    }
    assert_eq!(
        file_error("d.csv", "user,item\nu,a\n", &options),
        "d.csv, line 1: no column `country`; the header has: user, item"
    );
}

#[test]
fn tables_malformed() {
    assert_eq!(csv_error("user,item,time\n1,2\n"), "d.csv, line 2: 2 fields where the header has 3");
    assert_eq!(csv_error("user,item\r\n\r\n1,2\r\n1,2,3\r\n"), "d.csv, line 4: 3 fields where the header has 2");
    let no_time = "is no time; a number (seconds, milliseconds, microseconds, YYYYMMDD) or ISO-8601 (2020-09-13T12:26:40Z) is wanted";
    for (text, wanted) in [
        ("user,item,time\n1,2,x\n", "d.csv, line 2, column time: `x`"),
        ("user,item,time\n1,2,\n", "d.csv, line 2, column time: ``"),
        ("user,item,time\n\"a\nb\",1,5\n2,3,soon\n", "d.csv, line 4, column time: `soon`"),
    ] {
        assert_eq!(csv_error(text), format!("{wanted} {no_time}"));
    }
    assert_eq!(
        csv_error("user,item\n1,\"a\"b\n"),
        "d.csv, line 2, column item: text after a closing quote; a quote inside a quoted field is doubled"
    );
    assert_eq!(
        csv_error("user,item\n1,2\n1,\"a\nb\n"),
        "d.csv, line 3, column item: a quote is opened and never closed"
    );
    assert_eq!(csv_error("user,item,user\n1,2,3\n").as_str(), "d.csv, line 1: two columns are called `user`");
    assert_eq!(csv_error("user,item\n"), "d.csv: no interaction in the file");
    assert_eq!(csv_error(""), "d.csv: the file is empty; a header line with the names of the columns is wanted");
    assert_eq!(
        csv_error("1,2,3\n4,5,6\n"),
        "d.csv, line 1: no column for the user: the first line (1, 2, 3) looks like data. If the file has no header, give \
         --no-header and name columns by number, such as --user-col 1 --item-col 2"
    );
    assert_eq!(
        csv_error("who,what\n4,5\n"),
        "d.csv, line 1: no column for the user: the header has who, what; rename one to `user` or name it (`--user-col`)"
    );
    let wrong = ReadOptions { time_col: Some("when".into()), ..ReadOptions::default() };
    assert_eq!(
        file_error("d.csv", "user,item\n1,2\n", &wrong),
        "d.csv, line 1: no column `when`; the header has: user, item"
    );
}

#[test]
fn lists_without_a_header() {
    let data = csv("u1.base", "1\t2\t3\t50\n1 3 4 40\n", &ReadOptions::default());
    assert_eq!(events(&data), ["1 3 40", "1 2 50"]);
    let data = csv("r.dat", "1::2::3::50\n", &ReadOptions::default());
    assert_eq!(events(&data), ["1 2 50"]);
    let data = csv("pairs.txt", "5 2\n1 3\n", &ReadOptions::default());
    assert_eq!(events(&data), ["5 2", "1 3"]);
    assert_eq!(
        file_error("u1.base", "1 2 3 4\n1 2 3\n", &ReadOptions::default()),
        "u1.base, line 2: 3 fields where 4 are wanted (user item rating time)"
    );
    let folder = Folder::new();
    let paths = [("u1.base", "1\t2\t3\t50\n"), ("v.txt", "1 3 4 40\n"), ("u1.test", "2 2 1 5\n")]
        .map(|(name, text)| folder.put(name, text));
    let data = read_files(&paths[0], &paths[1], &paths[2], &ReadOptions::default()).unwrap();
    assert_eq!((events(&data).join(", "), data.event_part), ("1 2 50, 1 3 40, 2 2 5".into(), vec![0, 1, 2]));
    let error = read_files(&paths[0], folder.path(), &paths[2], &ReadOptions::default()).unwrap_err().to_string();
    assert_eq!(relative(folder.path(), &error), "DIR: is a folder; a file of interactions is wanted");
}
