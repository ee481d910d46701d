//! Every command does its work and writes its figures.

use super::{SMALL, json, ok, recall, small_model, stderr, stdout, text};

#[test]
fn train_eval_and_recommend() {
    for kind in ["dssm", "youtube-dnn"] {
        let folder = tempfile::tempdir().unwrap();
        let (model, figures) = (folder.path().join("m"), folder.path().join("t.json"));
        let data = "synthetic:users=120,items=90,events=12";
        let mut args = vec!["train", "--data", data, "--model", kind, "--out", text(&model), "--json", text(&figures)];
        args.extend(SMALL);
        let printed = ok(&args);
        assert!(
            printed.contains("most-popular") && printed.contains("item-knn") && printed.contains(kind),
            "{printed}"
        );
        let trained = json(&figures);
        assert_eq!(trained["command"], "train");
        assert_eq!(trained["device"]["kind"], "cpu");
        assert_eq!(trained["protocol"]["split"], "leave-last-out");
        assert_eq!(trained["protocol"]["mask"], "history");
        let row = |v: &serde_json::Value, model: &str| {
            v["rows"]
                .as_array()
                .unwrap()
                .iter()
                .find(|r| r["model"] == model)
                .cloned()
                .unwrap_or_else(|| panic!("{model}"))
        };
        let own = row(&trained, kind);
        for key in
            ["seconds", "examples_per_second", "prepare_seconds", "best_epoch", "loss", "loss_epochs", "model_sha256"]
        {
            assert!(!own[key].is_null(), "{key}");
        }
        for metric in ["HR@10", "HR@20", "HR@50", "HR@100", "NDCG@10", "MRR"] {
            assert!(own["metrics"][metric].is_f64() && own["stderr"][metric].is_f64(), "{metric}: {own}");
        }
        assert!(
            row(&trained, "bound")["metrics"]["HR@10"].as_f64()
                > row(&trained, "most-popular")["metrics"]["HR@10"].as_f64()
        );

        let again = folder.path().join("e.json");
        let threads = ["--device", "cpu", "--threads", "2", "--quiet"];
        let mut args = vec!["eval", "--model", text(&model), "--data", data, "--json", text(&again)];
        args.extend(threads);
        ok(&args);
        assert_eq!(row(&json(&again), kind)["metrics"], own["metrics"], "eval prints again what training printed");
        assert_eq!(row(&json(&again), kind)["model_sha256"], own["model_sha256"]);

        let best = folder.path().join("r.json");
        let user = ["--user", "u7", "-k", "7", "--json", text(&best)];
        let raw = first_user(&model);
        let user: Vec<&str> = user.iter().map(|a| if *a == "u7" { raw.as_str() } else { a }).collect();
        let mut args = vec!["recommend", "--model", text(&model), "--device", "cpu"];
        args.extend(&user);
        ok(&args);
        let rows = json(&best)["rows"].as_array().unwrap().clone();
        assert_eq!(rows.len(), 7);
        for (i, r) in rows.iter().enumerate() {
            assert_eq!(r["rank"], i + 1);
            assert!(r["title"].as_str().is_some_and(|t| !t.is_empty()) && r["score"].is_f64() && r["item"].is_string());
        }
        assert!(rows[0]["probability"].is_null(), "only where it is asked for");
        args.push("--prob");
        assert!(ok(&args).contains("probability"));
        let p: Vec<f64> =
            json(&best)["rows"].as_array().unwrap().iter().map(|r| r["probability"].as_f64().unwrap()).collect();
        assert!(p.windows(2).all(|w| w[0] >= w[1]) && p[6] > 0.0 && p.iter().sum::<f64>() < 1.0, "{p:?}");
        let history = format!("{},{}", rows[0]["item"].as_str().unwrap(), rows[1]["item"].as_str().unwrap());
        let output = ok(&["recommend", "--model", text(&model), "--device", "cpu", "--history", &history, "-k", "3"]);
        assert_eq!(output.lines().filter(|l| l.trim_start().starts_with(['1', '2', '3'])).count(), 3, "{output}");
    }
}

fn first_user(model: &std::path::Path) -> String {
    json(&model.join("model.json"))["users"][0].as_str().unwrap().to_owned()
}

#[test]
fn an_empty_history_is_answered_with_a_note() {
    let (_folder, model) = small_model("dssm");
    let output = recall(&["recommend", "--model", text(&model), "--history", "", "-k", "4", "--device", "cpu"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("history is empty"), "{}", stderr(&output));
    assert!(stdout(&output).lines().count() >= 5, "{}", stdout(&output));
}

#[test]
fn explain_draws_the_tape_and_doctor_knows_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let dot = folder.path().join("t.dot");
    for kind in ["dssm", "youtube-dnn"] {
        let printed =
            ok(&["explain", "--model", kind, "--data", "synthetic:users=60,items=50,events=8", "--dot", text(&dot)]);
        for word in ["forward", "backward", "update", "softmax_loss", "bag", "group"] {
            assert!(printed.contains(word), "{word}: {printed}");
        }
        let graph = std::fs::read_to_string(&dot).unwrap();
        assert!(graph.starts_with("digraph") && graph.matches("->").count() > 30);
    }
    let printed = ok(&["doctor"]);
    assert!(printed.contains("cpu") && printed.contains("auto"), "{printed}");
    // Each adapter with the tiles of its products; a software driver is not timed for them.
    let count = |word: &str| printed.matches(word).count();
    assert_eq!(count("products: "), count("kernels: "), "{printed}");
    assert_eq!(count("--f16: "), count("kernels: "), "{printed}");
    assert!(count("never timed: a software driver") >= count(", software driver"), "{printed}");
}

/// Trained with products in bf16 a model is another one; a processor without the instructions is named.
#[test]
fn products_in_bf16_are_had_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, figures) = (folder.path().join("m"), folder.path().join("t.json"));
    let train = |more: &[&str]| {
        let data = "synthetic:users=120,items=90,events=12";
        let mut args = vec!["train", "--data", data, "--model", "dssm", "--out", text(&model)];
        args.extend(["--json", text(&figures)]);
        args.extend(SMALL);
        args.extend(more);
        recall(&args)
    };
    let half = train(&["--bf16"]);
    if json_of_doctor(&folder.path().join("d.json"))["cpu_bf16_products"] == false {
        assert!(half.status.code() == Some(1) && stderr(&half).contains("AVX-512 BF16"), "{}", stderr(&half));
        return;
    }
    assert!(half.status.success(), "{}", stderr(&half));
    let half = json(&figures);
    assert!(half["device"]["name"].as_str().unwrap().ends_with(", bf16 products"), "{}", half["device"]);
    std::fs::remove_dir_all(&model).unwrap();
    assert!(train(&[]).status.success());
    let sha256 = |v: &serde_json::Value| {
        let rows = v["rows"].as_array().unwrap();
        rows.iter().find_map(|r| r["model_sha256"].as_str().map(str::to_owned)).expect("the trained model's")
    };
    assert_ne!(sha256(&half), sha256(&json(&figures)), "nothing was rounded");
}

fn json_of_doctor(path: &std::path::Path) -> serde_json::Value {
    let printed = ok(&["doctor", "--json", text(path)]);
    assert_eq!(printed.matches("--bf16: ").count(), 1, "{printed}");
    json(path)
}

#[test]
fn gradcheck_checks_every_op_and_both_models() {
    let printed = ok(&["gradcheck", "--device", "cpu"]);
    for word in ["softmax_loss", "l2_normalize", "dssm (inbatch", "youtube-dnn (full", " 0 failed"] {
        assert!(printed.contains(word), "{word}: {printed}");
    }
}

#[test]
fn gradcheck_checks_random_tapes() {
    let folder = tempfile::tempdir().unwrap();
    let figures = folder.path().join("g.json");
    let run = |seed: &str, count: &str| {
        ok(&["gradcheck", "--random", count, "--seed", seed, "--device", "cpu", "--json", text(&figures)]);
        json(&figures)["rows"].as_array().unwrap().clone()
    };
    let three = run("1000", "3");
    assert_eq!(three.iter().map(|r| r["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [1000, 1001, 1002]);
    assert!(three.iter().all(|r| r["error"].as_f64() <= Some(2e-4) && r["parameters"].as_array().unwrap().len() > 2));
    assert_eq!(run("1002", "1")[..], three[2..], "a tape is its seed");
    let output = recall(&["gradcheck", "--random", "0"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn bench_reports_beside_the_ceilings() {
    let folder = tempfile::tempdir().unwrap();
    let figures = folder.path().join("b.json");
    let plot = folder.path().join("roofline.svg");
    let run = ["bench", "kernels", "--filter", "333x7x20", "--runs", "2", "--device", "cpu"];
    ok(&[&run[..], &["--json", text(&figures), "--plot", text(&plot)]].concat());
    let drawn = std::fs::read_to_string(&plot).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("group_dot/naive/cpu/333x7x20"), "{drawn:.200}");
    let b = json(&figures);
    assert!(b["ceilings"]["copy_gb_s"].as_f64() > Some(0.0) && b["ceilings"]["gemm_gflop_s"].as_f64() > Some(0.0));
    let ids: Vec<&str> = b["rows"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert!(ids.iter().any(|id| id.starts_with("group_dot/main/cpu/")), "{ids:?}");
    let rows = b["rows"].as_array().unwrap();
    assert!(!cfg!(unix) || rows.iter().all(|r| r["cpu_ms"].as_f64() > Some(0.0)), "CPU time beside wall time");
    // Each id once, and the naive variant after the fast one.
    let main = ids.iter().position(|id| id.starts_with("group_dot/main/")).unwrap();
    assert_eq!(ids[main + 1], ids[main].replace("/main/", "/naive/"));
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    ok(&[
        "bench",
        "step",
        "--vocab",
        "500",
        "--batch",
        "64,128",
        "--runs",
        "2",
        "--device",
        "cpu",
        "--json",
        text(&figures),
    ]);
    assert_eq!(json(&figures)["rows"].as_array().unwrap().len(), 2);
    let sizes = ["--items", "2000", "--queries", "1,6", "-k", "10", "--runs", "2"];
    ok(&[&["bench", "retrieve", "--device", "cpu", "--json", text(&figures)][..], &sizes].concat());
    let b = json(&figures);
    let ids: Vec<&str> = b["rows"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    let main = ["search/main/cpu/1of2000x64,top10", "search/main/cpu/6of2000x64,top10"];
    // Where codes serve, beside it the index without.
    assert_eq!(ids[..2], main);
    assert_eq!(ids[2..], main.map(|id| id.replace("/main/", "/f32/")));
    assert!(b["rows"][0]["times_f32"].as_f64().unwrap() > 0.0 && b["rows"][0]["index_ms"].as_f64().unwrap() > 0.0);
}

/// A kernel is named by the variant that it runs, and stands beside another only where it has one.
#[test]
fn bench_names_the_variants_that_a_gpu_runs() {
    if std::env::var("RECALL_REQUIRE_GPU").is_err() || !cfg!(feature = "gpu") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let figures = folder.path().join("b.json");
    let run = ["bench", "kernels", "--filter", "777x1001x48", "--runs", "1", "--device", "gpu"];
    ok(&[&run[..], &["--json", text(&figures)]].concat());
    let b = json(&figures);
    let ids: Vec<&str> = b["rows"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    let of = |op: &str| -> Vec<&str> { ids.iter().filter_map(|id| id.strip_prefix(op)?.split('/').next()).collect() };
    assert_eq!(of("sum/"), ["portable"], "{ids:?}");
    let softmax = of("softmax_loss/");
    assert!(softmax == ["subgroup", "portable"] || softmax == ["portable"], "{ids:?}");
    assert!(!ids.is_empty() && ids.iter().all(|id| id.contains("/gpu/")), "{ids:?}");
}

#[test]
fn settings_come_from_a_file_and_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let (file, model) = (folder.path().join("c.toml"), folder.path().join("m"));
    std::fs::write(&file, "dim = 8\nwindows = [1, 4]\nhistory = 4\nloss = \"sampled\"\nnegatives = 20\nepochs = 9\n")
        .unwrap();
    let data = "synthetic:users=60,items=50,events=8";
    ok(&[
        "train",
        "--data",
        data,
        "--model",
        "dssm",
        "--config",
        text(&file),
        "--set",
        "epochs=1",
        "--out",
        text(&model),
        "--device",
        "cpu",
        "--quiet",
    ]);
    let config = json(&model.join("model.json"))["config"].as_str().unwrap().to_owned();
    for line in ["dim = 8", "windows = [1, 4]", "loss = \"sampled\"", "epochs = 1", "negatives = 20"] {
        assert!(config.lines().any(|l| l == line), "{line} in {config}");
    }
}

#[test]
fn mining_says_what_it_costs() {
    let folder = tempfile::tempdir().unwrap();
    let (model, figures) = (folder.path().join("m"), folder.path().join("t.json"));
    let data = "synthetic:users=120,items=90,events=12";
    let mut args = vec!["train", "--data", data, "--model", "dssm", "--out", text(&model), "--json", text(&figures)];
    args.extend(SMALL);
    args.extend(["--set", "loss=bpr", "--set", "mine=1", "--set", "mine_every=2", "--set", "mine_ranks=5,20"]);
    let printed = ok(&args);
    assert!(printed.contains("mining hard negatives took"), "{printed}");
    assert!(json(&figures)["mine_seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_preset_is_a_start_that_settings_go_over() {
    let folder = tempfile::tempdir().unwrap();
    let (out, json) = (folder.path().join("m"), folder.path().join("m.json"));
    let small = ["--set", "epochs=1", "--set", "user_hidden=8", "--set", "dim=8"];
    let train = |more: &[&str]| {
        let mut args = vec!["train", "--data", "synthetic:users=60,items=40,events=12", "--out", out.to_str().unwrap()];
        args.extend(["--json", json.to_str().unwrap()]);
        args.extend(small);
        args.extend(more);
        recall(&args)
    };
    let done = train(&["--preset", "youtube-2016", "--set", "negatives=16"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    assert!(said.contains("note: preset youtube-2016 follows its source but for: the ranking network"), "{said}");
    let quiet = train(&["--preset", "youtube-2016", "--set", "negatives=16", "--quiet"]);
    assert!(!String::from_utf8_lossy(&quiet.stderr).contains("follows its source but for"));
    let config = serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(&json).unwrap()).unwrap()["config"]
        .as_str()
        .unwrap()
        .to_owned();
    for line in ["model = \"youtube-dnn\"", "item_table = \"separate\"", "dim = 8", "negatives = 16"] {
        assert!(config.contains(line), "{line}: {config}");
    }
    for (more, what) in [
        (&["--preset", "youtube-2061"][..], "there are youtube-2016"),
        (&["--preset", "youtube-2016", "--model", "dssm"], "is a youtube-dnn and --model says dssm"),
        (&[], "--model"),
    ] {
        let done = train(more);
        assert_eq!(done.status.code(), Some(2));
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(text.contains(what), "{more:?}: {text}");
    }
}
