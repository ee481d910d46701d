//! The MovieLens formats on small files, and every malformed case with the file, line and column that its error names.

mod common;

use common::{Folder, events, file_error, relative, value};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use rt_data::{ReadOptions, read};

const LATIN1_E: &[u8] = b"\xe9";
const NO_TIME: &str = "u.data, line 1, column time: `soon` is no time; a number (seconds, milliseconds, microseconds, YYYYMMDD) or \
                       ISO-8601 (2020-09-13T12:26:40Z) is wanted";

fn ml_100k() -> Folder {
    let folder = Folder::new();
    folder.put("u.data", "7 20 3 900\r\n\n3\t10\t4\t500\n7\t10\t5\t900\n9\t30\t1\t100\n");
    folder.put("u.user", "3|24|M|writer|55105\n7|33|F|other|V3N4P\n8|24|F|writer|00000\n");
    let flags = |on: &[usize]| (0..19).map(|k| if on.contains(&k) { "|1" } else { "|0" }).collect::<String>();
    let mut items = b"10|Mis".to_vec();
    items.extend_from_slice(LATIN1_E);
    items.extend_from_slice(format!("rables, Les (1995)|01-Jan-1995||url{}\n", flags(&[8, 12])).as_bytes());
    items.extend_from_slice(
        format!("20|unknown||||1{}\n40|Late One (1997)|||{}\n", &flags(&[])[2..], flags(&[1])).as_bytes(),
    );
    folder.put("u.item", items);
    folder
}

#[test]
fn movielens_100k() {
    let folder = ml_100k();
    let data = read(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(data.users.iter().collect::<Vec<_>>(), ["7", "3", "9", "8"]);
    assert_eq!(data.items.iter().collect::<Vec<_>>(), ["20", "10", "30", "40"]);
    assert_eq!(events(&data), ["7 20 900", "7 10 900", "3 10 500", "9 30 100"]);
    assert_eq!(data.user_start, [0, 0, 2, 3, 4, 4]);
    assert_eq!(data.catalogue, [1, 2, 3]);
    let users: Vec<String> = (0..5).map(|row| value(&data.user_features, "age", row)).collect();
    assert_eq!(users, ["", "33", "24", "", "24"], "user 9 is in no user file");
    assert_eq!(value(&data.user_features, "zip", 1), "V3N4P");
    let genres: Vec<String> = (0..5).map(|row| value(&data.item_features, "genres", row)).collect();
    assert_eq!(genres, ["", "unknown", "Drama|Musical", "", "Action"]);
    let years: Vec<String> = (0..5).map(|row| value(&data.item_features, "year", row)).collect();
    assert_eq!(years, ["", "", "1995", "", "1997"]);
    assert_eq!(
        [1, 2, 3, 4].map(|item| data.title(item).to_owned()),
        ["unknown", "Misérables, Les (1995)", "30", "Late One (1997)"]
    );
}

#[test]
fn movielens_100k_malformed() {
    let cases: [(&str, &str, &str); 12] = [
        ("u.data", "1 2 3 4\n1 x 3 88\n", "u.data, line 2, column item: `x` is not an integer id"),
        ("u.data", "1 2 3 4\n\n-1 2 3 88\n", "u.data, line 3, column user: `-1` is not an integer id"),
        ("u.data", "1 2 3 4\n1 2 y 88\n", "u.data, line 2, column rating: `y` is not a finite number"),
        ("u.data", "1 2 nan 88\n", "u.data, line 1, column rating: `nan` is not a finite number"),
        ("u.data", "1 2 3 soon\n", NO_TIME),
        ("u.data", "1 2 3\n", "u.data, line 1: 3 fields where 4 are wanted (user item rating time)"),
        ("u.data", " \n", "u.data: no interaction in the file"),
        ("u.user", "3|24|M|writer\n", "u.user, line 1: 4 fields where 5 are wanted (user|age|gender|occupation|zip)"),
        ("u.user", "3|24|M|w|0\n\n3|25|M|w|0\n", "u.user, line 3, column user: the user 3 has a row already"),
        ("u.user", "3|old|M|w|0\n", "u.user, line 1, column age: `old` is not an age in years"),
        ("u.genre", "Drama|0\nWar|2\n", "u.genre, line 2: `name|1` is wanted"),
        (
            "u.genre",
            "Drama|0\n",
            "u.item, line 1: 24 fields where 6 are wanted (item|title|date|video date|URL|1 genre flags)",
        ),
    ];
    for (name, text, wanted) in cases {
        let folder = ml_100k();
        folder.put(name, text);
        assert_eq!(folder.error(), wanted);
    }
    let folder = ml_100k();
    folder.put("u.genre", "Drama|0\n");
    folder.put("u.item", "10|T|||u|0\n20|T|||u|2\n");
    assert_eq!(folder.error(), "u.item, line 2, column Drama: `2` is neither 0 nor 1");
    folder.put("u.item", "10|T|||u|0\n10|T|||u|1\n");
    assert_eq!(folder.error(), "u.item, line 2, column item: the item 10 has a row already");
    std::fs::remove_file(folder.path().join("u.user")).unwrap();
    assert!(folder.error().starts_with("u.user: "), "{}", folder.error());
}

fn ml_1m() -> Folder {
    let folder = Folder::new();
    folder.put("ratings.dat", "2::5::3::100\r\n2::4::5::90\n1::5::1::7\n");
    folder.put("users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n3::M::25::15::55117-1\n");
    folder.put(
        "movies.dat",
        [b"4::Caf".as_slice(), LATIN1_E, b": a film (1990)::Drama|War\n6::None (2000)::Comedy\n"].concat(),
    );
    folder
}

#[test]
fn movielens_1m() {
    let folder = ml_1m();
    let data = read(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(events(&data), ["2 4 90", "2 5 100", "1 5 7"]);
    assert_eq!(data.users.iter().collect::<Vec<_>>(), ["2", "1", "3"]);
    assert_eq!(data.items.iter().collect::<Vec<_>>(), ["5", "4", "6"]);
    let names: Vec<&str> = data.user_features.columns.iter().map(|column| column.0.as_str()).collect();
    assert_eq!(names, ["gender", "age", "occupation", "zip"]);
    assert_eq!(value(&data.user_features, "zip", 3), "55117-1");
    assert_eq!((data.title(2), data.title(1)), ("Café: a film (1990)", "5"));
    assert_eq!(
        (value(&data.item_features, "genres", 2), value(&data.item_features, "year", 2)),
        ("Drama|War".into(), "1990".into())
    );
    let ordered = read(folder.path(), &ReadOptions { order_input: true, ..ReadOptions::default() }).unwrap();
    assert_eq!(events(&ordered), ["2 5 1", "2 4 2", "1 5 1"]);
}

#[test]
fn movielens_1m_malformed() {
    for (name, text, wanted) in [
        ("ratings.dat", "1::2::3::4\nu1::2::3::4\n", "ratings.dat, line 2, column user: `u1` is not an integer id"),
        (
            "ratings.dat",
            "1::2::3::4\n1::2::3\n",
            "ratings.dat, line 2: 3 fields where 4 are wanted (user::item::rating::time)",
        ),
        (
            "ratings.dat",
            "1::2::3::4::5\n",
            "ratings.dat, line 1: 5 fields where 4 are wanted (user::item::rating::time)",
        ),
        ("ratings.dat", "", "ratings.dat: no interaction in the file"),
        (
            "users.dat",
            "1::F::1::10\n",
            "users.dat, line 1: 4 fields where 5 are wanted (user::gender::age::occupation::zip)",
        ),
        ("users.dat", "1::F::x::10::1\n", "users.dat, line 1, column age: `x` is not an integer"),
        ("users.dat", "1::F::1::1::1\n1::F::1::1::1\n", "users.dat, line 2, column user: the user 1 has a row already"),
        ("movies.dat", "4::Title\n", "movies.dat, line 1: 2 fields where 3 are wanted (item::title::genres)"),
        ("movies.dat", "x::Title::Drama\n", "movies.dat, line 1, column item: `x` is not an integer id"),
    ] {
        let folder = ml_1m();
        folder.put(name, text);
        assert_eq!(folder.error(), wanted);
    }
}

#[test]
fn movielens_csv() {
    let folder = Folder::new();
    folder.put(
        "ratings.csv",
        "\u{feff}userId,movieId,rating,timestamp\r\n1,31,2.5,1260759144\r\n1,29,3.0,1260759100\r\n",
    );
    let movies = "movieId,title,genres\n29,\"City of Lost Children, The (Cité des enfants perdus, La) (1995)\",Drama|Sci-Fi\n\
                  31,\"The \"\"Quoted\"\" One (2001)\",(no genres listed)\n";
    folder.put("movies.csv", movies);
    let data = read(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(events(&data), ["1 29 1260759100", "1 31 1260759144"]);
    assert_eq!(data.title(2), "City of Lost Children, The (Cité des enfants perdus, La) (1995)");
    assert_eq!(data.title(1), "The \"Quoted\" One (2001)");
    assert_eq!(
        (value(&data.item_features, "genres", 1), value(&data.item_features, "year", 1)),
        (String::new(), "2001".into())
    );

    folder.put("movies.csv", "movieId,title,genres\n29,a,b\n29,a,b\n");
    assert_eq!(folder.error(), "movies.csv, line 3, column movieId: the item 29 has a row already");
    folder.put("ratings.csv", "userId,movieId,rating,timestamp\n1,a,2.5,1\n");
    assert_eq!(folder.error(), "ratings.csv, line 2, column movieId: `a` is not an integer id");
    folder.put("ratings.csv", "userId,movieId,rating,timestamp\n1,1,inf,1\n");
    assert_eq!(folder.error(), "ratings.csv, line 2, column rating: `inf` is not a finite number");
    folder.put("ratings.csv", "userId,movieId,rating\n1,1,1\n");
    assert_eq!(folder.error(), "ratings.csv, line 1: no column `timestamp`; the header has: userId, movieId, rating");
}

#[test]
fn what_is_no_text() {
    let options = ReadOptions::default();
    let error = |bytes: &[u8]| file_error("d.csv", bytes, &options);
    assert_eq!(
        error(b"user,item\n1,\x01\n"),
        "d.csv, line 2: the byte 0x01 is no text; UTF-8 or Windows-1252 (Latin-1) is wanted"
    );
    assert_eq!(error(b"user,item\n1,\xe9\x81\n"), "d.csv, line 2: neither UTF-8 nor Windows-1252 (Latin-1) text");
    let damaged = [b"user,item\n1,".as_slice(), "é\n1,ö\n1,".as_bytes(), b"\xe9\n"].concat();
    assert_eq!(error(&damaged), "d.csv: line 4 is not UTF-8, as 2 other lines are; one encoding is wanted");
    let utf16: Vec<u8> = "user,item\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(error(&utf16).ends_with("(UTF-16 has to be saved as UTF-8)"), "{}", error(&utf16));
    // Any bytes at all: an error, never a panic.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    for size in [1, 10, 100, 5_000] {
        let mut bytes = vec![0; size];
        rng.fill_bytes(&mut bytes);
        for name in ["r.csv", "r.tsv", "r.data", "r.parquet"] {
            assert!(!file_error(name, &bytes, &options).is_empty());
        }
        for (make, names) in [
            (ml_100k as fn() -> Folder, ["u.data", "u.user", "u.item"]),
            (ml_1m, ["ratings.dat", "users.dat", "movies.dat"]),
        ] {
            for name in names {
                let folder = make();
                folder.put(name, &bytes);
                assert!(folder.error().starts_with(name), "{}", folder.error());
            }
        }
    }
}

#[test]
fn missing_and_unknown() {
    let folder = Folder::new();
    let error = read(&folder.path().join("none.csv"), &ReadOptions::default()).unwrap_err().to_string();
    assert!(relative(folder.path(), &error).starts_with("none.csv: "), "{error}");
    folder.put("notes.md", "user,item\n1,2\n");
    let error = folder.error();
    assert!(
        error.starts_with("DIR: the folder is of no known format; recognised are MovieLens ml-100k (u.data"),
        "{error}"
    );
}

#[test]
fn several_tables_are_read_as_one() {
    let folder = Folder::new();
    // In the order of their names, whatever order the system lists them in; equal times keep that order.
    folder.put("part-2.csv", "user,item,time\nu,c,5\nw,a,1\n");
    folder.put("part-1.tsv", "user\titem\ttime\nu\tb\t5\nu\ta\t9\n");
    folder.put("_SUCCESS.csv", "");
    folder.put("readme.txt", "not a table");
    let data = read(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(events(&data), ["u b 5", "u c 5", "u a 9", "w a 1"]);
    let both = format!("{0}/part-2.csv, {0}/part-1.tsv", folder.path().display());
    let data = read(std::path::Path::new(&both), &ReadOptions::default()).unwrap();
    assert_eq!(events(&data), ["u c 5", "u b 5", "u a 9", "w a 1"]);
    assert_eq!(data.name, "part-2.csv,part-1.tsv");
    folder.put("part-3.csv", "user,item\nu,a\n");
    assert_eq!(folder.error(), "part-3.csv: has no times, the files before it have");
    folder.put("part-3.csv", "user,thing,time\nu,a,1\n");
    assert!(folder.error().starts_with("part-3.csv, line 1: no column for the item"));
    let missing = format!("{0}/part-2.csv,{0}/none.csv", folder.path().display());
    let error = read(std::path::Path::new(&missing), &ReadOptions::default()).unwrap_err().to_string();
    assert!(relative(folder.path(), &error).starts_with("none.csv: "), "{error}");
    // A file whose own name has a comma is that file.
    let path = folder.put("a,b.csv", "user,item\nu,a\n");
    assert_eq!(events(&read(&path, &ReadOptions::default()).unwrap()), ["u a"]);
}

#[test]
fn a_movielens_folder_is_read_alone() {
    let (one, two) = (ml_100k(), Folder::new());
    let table = two.put("d.csv", "user,item,time\nu,a,1\n");
    let both = format!("{},{}", one.path().display(), table.display());
    let error = read(std::path::Path::new(&both), &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("is read alone"), "{error}");
}
