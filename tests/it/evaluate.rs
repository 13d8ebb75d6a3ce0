//! Evaluate over a real connection, files of benchmarks, and runs that are killed and go on.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::Running;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scotoma::benchmark::data::{ItemReader, MAX_ROW};
use scotoma::benchmark::judge::JudgePrompt;
use scotoma::benchmark::{Item, shapes};
use scotoma::evaluate::{JudgeAddress, JudgeConfig, JudgePlace};
use scotoma::server::ServerConfig;
use scotoma_client::v1::benchmark_service_client::BenchmarkServiceClient;
use scotoma_client::v1::evaluate_header::Rules;
use scotoma_client::v1::evaluate_request::Event as Asked;
use scotoma_client::v1::evaluate_response::Event;
use scotoma_client::v1::image::Source;
use scotoma_client::v1::{
    Answering, CustomRule, EvaluateFinished, EvaluateHeader, EvaluateRequest, EvaluateResponse,
    EvaluateVariant, GenerateRequest, Image, Intervention, Pictures, Reader, Sample, SampleResult,
    Verdict,
};
use scotoma_client::{Error, drop_layers, permute_tokens, prompt};

fn sample(item: &Item) -> Sample {
    Sample {
        id: item.id.clone(),
        images: item
            .images
            .iter()
            .map(|i| Image {
                source: Some(Source::Data(i.clone())),
            })
            .collect(),
        question: item.question.clone(),
        options: item.options.clone(),
        answer: item.answer.clone(),
        category: item.category.clone(),
        ..Default::default()
    }
}

fn header(variants: Vec<(&str, Vec<scotoma_client::Intervention>)>) -> EvaluateHeader {
    let variants = variants
        .into_iter()
        .map(|(name, interventions)| EvaluateVariant {
            name: name.into(),
            interventions,
            ..Default::default()
        })
        .collect();
    EvaluateHeader {
        rules: Some(Rules::Rule("shapes".into())),
        variants,
        progress_every: 10,
        ..Default::default()
    }
}

/// All results by sample and variant, and the end.
type Found = (BTreeMap<(String, String), SampleResult>, EvaluateFinished);

/// The service without the client's conveniences.
type Service = BenchmarkServiceClient<tonic::transport::Channel>;

async fn service(server: &Running) -> Service {
    Service::connect(server.address.clone()).await.unwrap()
}

async fn stream(
    service: &mut Service,
    asked: Vec<Asked>,
) -> Result<tonic::Streaming<EvaluateResponse>, tonic::Status> {
    let requests = asked
        .into_iter()
        .map(|event| EvaluateRequest { event: Some(event) });
    Ok(service
        .evaluate(tokio_stream::iter(requests.collect::<Vec<_>>()))
        .await?
        .into_inner())
}

async fn run(service: &mut Service, asked: Vec<Asked>) -> Result<Found, Error> {
    let mut stream = stream(service, asked).await?;
    let (mut results, mut started, mut progress) = (BTreeMap::new(), 0, 0);
    let mut settled = 0;
    while let Some(response) = stream.message().await? {
        match response.event.unwrap() {
            Event::Started(_) => started += 1,
            Event::Result(result) => {
                let twice = results.insert((result.id.clone(), result.variant.clone()), result);
                assert!(twice.is_none(), "{twice:?} came twice");
            }
            Event::Progress(_) => progress += 1,
            Event::Settled(now) => {
                assert!(now.questions > settled, "it only grows");
                settled = now.questions;
            }
            Event::Finished(finished) => {
                assert_eq!(started, 1);
                assert_eq!(settled == 0, results.is_empty());
                assert!(progress >= results.len() / 10, "{progress} times progress");
                return Ok((results, finished));
            }
        }
    }
    panic!("no end");
}

fn asked(header: EvaluateHeader, samples: impl IntoIterator<Item = Sample>) -> Vec<Asked> {
    std::iter::once(Asked::Header(header))
        .chain(samples.into_iter().map(Asked::Sample))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_is_what_its_questions_are() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = service(&server).await;
    let items: Vec<Item> = shapes().unwrap().into_iter().take(48).collect();
    let variants = || {
        vec![
            ("original", vec![]),
            ("permuted", vec![permute_tokens(7)]),
            ("short", vec![drop_layers([6, 7])]),
        ]
    };
    let (results, finished) = run(
        &mut client,
        asked(header(variants()), items.iter().map(sample)),
    )
    .await
    .unwrap();
    assert_eq!(
        (results.len(), finished.results, finished.failed),
        (144, 144, 0)
    );
    // Each result is what a request of its own says, record and all.
    for item in items.iter().step_by(11) {
        for (name, interventions) in variants() {
            let request = GenerateRequest {
                model: "shapes".into(),
                prompt: Some(prompt(
                    &(scotoma::benchmark::rule("shapes").unwrap().prompt)(item),
                    item.images.clone(),
                )),
                interventions,
                max_tokens: 16,
                sample_key: item.id.clone(),
                ..Default::default()
            };
            let alone = server
                .client()
                .await
                .generate(request)
                .await
                .unwrap()
                .finish()
                .await
                .unwrap();
            let found = &results[&(item.id.clone(), name.to_owned())];
            assert_eq!(found.text, alone.text, "{} under {name}", item.id);
            assert_eq!(found.output_digest, alone.provenance.unwrap().output_digest);
        }
    }
    // The metrics are those of the results.
    for (name, _) in variants() {
        let own = results.values().filter(|r| r.variant == name);
        let right = own
            .filter(|r| r.verdict == i32::from(Verdict::Right))
            .count();
        let metric = finished
            .metrics
            .iter()
            .find(|m| m.variant == name && m.name == "accuracy")
            .unwrap();
        assert_eq!(
            (metric.n, (metric.value * 48.0).round() as usize),
            (48, right),
            "{name}"
        );
        assert!(metric.low <= metric.value && metric.value <= metric.high);
    }
    let permuted = &finished.comparisons[0];
    assert_eq!(
        (
            permuted.variant.as_str(),
            permuted.n,
            finished.comparisons.len()
        ),
        ("permuted", 48, 2)
    );
    assert!(
        permuted.worse > permuted.better
            && permuted.low <= permuted.difference
            && permuted.difference <= permuted.high
    );

    // In another order, and with a half known from before: the same.
    let backwards = items.iter().rev().map(sample);
    let mut again = asked(header(variants()), []);
    again.extend(results.values().step_by(2).cloned().map(Asked::Known));
    again.extend(backwards.map(Asked::Sample));
    let (rest, resumed) = run(&mut client, again).await.unwrap();
    assert_eq!(rest.len(), 72);
    for (key, result) in &rest {
        assert_eq!(
            (&result.text, &result.output_digest),
            (&results[key].text, &results[key].output_digest)
        );
    }
    assert_eq!(
        (resumed.metrics, resumed.comparisons),
        (finished.metrics, finished.comparisons)
    );
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_scored_without_a_judge() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = service(&server).await;
    let items: Vec<Item> = shapes()
        .unwrap()
        .into_iter()
        .filter(|i| i.options.len() == 4)
        .take(40)
        .collect();
    let scored = EvaluateHeader {
        answering: Answering::OptionLetters.into(),
        ..header(vec![])
    };
    let (results, finished) = run(&mut client, asked(scored, items.iter().map(sample)))
        .await
        .unwrap();
    assert!(finished.metrics[0].value > 0.9, "{:?}", finished.metrics[0]);
    for result in results.values() {
        assert_eq!(result.options.len(), 4);
        let best = result
            .options
            .iter()
            .max_by(|a, b| a.mean_logprob.total_cmp(&b.mean_logprob))
            .unwrap();
        assert_eq!(
            (&best.option, &result.variant),
            (&result.answer, &"original".to_owned())
        );
    }
    // A question that has no options is an error of its own.
    let open = Sample {
        options: Vec::new(),
        answer: "12".into(),
        ..sample(&items[0])
    };
    let scored = EvaluateHeader {
        answering: Answering::OptionTexts.into(),
        ..header(vec![])
    };
    let (results, finished) = run(&mut client, asked(scored, [open])).await.unwrap();
    assert_eq!((results.len(), finished.failed), (1, 1));
    assert_eq!(
        results
            .values()
            .next()
            .unwrap()
            .error
            .as_ref()
            .unwrap()
            .field,
        "sample.options"
    );
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_the_rest_goes_on() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = service(&server).await;
    let items: Vec<Item> = shapes().unwrap().into_iter().take(3).collect();
    let good = || sample(&items[0]);
    let refused = async |client: &mut Service, asked: Vec<Asked>, says: &str| {
        let error = run(client, asked).await.unwrap_err();
        assert_eq!(error.code(), Some(tonic::Code::InvalidArgument), "{error}");
        assert!(
            error.to_string().contains(says),
            "{error} does not say {says}"
        );
    };
    refused(&mut client, vec![Asked::Sample(good())], "header").await;
    let unknown = EvaluateHeader {
        rules: Some(Rules::Rule("mmlu".into())),
        ..Default::default()
    };
    refused(&mut client, vec![Asked::Header(unknown)], "mmvp/lmms-eval").await;
    refused(
        &mut client,
        vec![Asked::Header(EvaluateHeader::default())],
        "rule or custom",
    )
    .await;
    // The header's interventions are read once, before any sample.
    let unread = EvaluateHeader {
        rules: Some(Rules::Rule("shapes".into())),
        variants: vec![EvaluateVariant {
            name: "nothing".into(),
            interventions: vec![Intervention::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let at = "header.variants[0].interventions[0]";
    refused(&mut client, vec![Asked::Header(unread)], at).await;
    let custom = |prompt: &str, reader: Reader| {
        let rule = CustomRule {
            prompt: prompt.into(),
            reader: reader.into(),
            max_tokens: 0,
        };
        EvaluateHeader {
            rules: Some(Rules::Custom(rule)),
            ..Default::default()
        }
    };
    refused(
        &mut client,
        vec![Asked::Header(custom("{question}", Reader::Unspecified))],
        "READER_LETTER",
    )
    .await;
    refused(
        &mut client,
        vec![Asked::Header(custom("What?", Reader::Letter))],
        "{question}",
    )
    .await;
    refused(
        &mut client,
        vec![Asked::Header(header(vec![("a", vec![]), ("a", vec![])]))],
        "variants[1].name",
    )
    .await;
    refused(
        &mut client,
        vec![Asked::Header(header(vec![])), Asked::Header(header(vec![]))],
        "one already",
    )
    .await;
    let stranger = SampleResult {
        variant: "b".into(),
        ..Default::default()
    };
    refused(
        &mut client,
        vec![Asked::Header(header(vec![])), Asked::Known(stranger)],
        "known.variant",
    )
    .await;
    // Its own answer would be counted, and this one beside it.
    let late = SampleResult {
        id: items[0].id.clone(),
        variant: "a".into(),
        verdict: Verdict::Right.into(),
        ..Default::default()
    };
    let late = vec![
        Asked::Header(header(vec![("a", vec![])])),
        Asked::Sample(good()),
        Asked::Known(late),
    ];
    refused(&mut client, late, "known.id").await;

    let broken = Sample {
        id: "broken".into(),
        images: vec![Image {
            source: Some(Source::Data(vec![1, 2])),
        }],
        ..good()
    };
    let empty = Sample {
        id: "empty".into(),
        question: String::new(),
        ..good()
    };
    let other = Sample {
        id: "other".into(),
        ..good()
    };
    let all = [
        good(),
        broken,
        good(),
        empty,
        other,
        Sample {
            id: String::new(),
            ..good()
        },
    ];
    let mut stream = stream(&mut client, asked(header(vec![]), all))
        .await
        .unwrap();
    let (mut right, mut errors) = (0, Vec::new());
    while let Some(response) = stream.message().await.unwrap() {
        match response.event.unwrap() {
            Event::Result(result) => match result.error {
                Some(error) => errors.push(error.field),
                None => right += 1,
            },
            Event::Finished(finished) => assert_eq!((finished.results, finished.failed), (6, 4)),
            _ => {}
        }
    }
    errors.sort();
    assert_eq!(right, 2);
    assert_eq!(
        errors,
        [
            "sample.id",
            "sample.id",
            "sample.images[0].data",
            "sample.question"
        ]
    );

    // Small as they come, too large together.
    let many = custom(&"{question}".repeat(1000), Reader::Letter);
    let wordy = Sample {
        question: "Why? ".repeat(400),
        ..good()
    };
    let (results, _) = run(&mut client, asked(many, [wordy])).await.unwrap();
    let error = results.values().next().unwrap().error.as_ref().unwrap();
    assert!(
        error.field == "sample.question"
            && error.message.contains("2000000 bytes; at most 1048576"),
        "{error:?}"
    );

    let mine = custom(
        "{hint}{question}\n{options}\nAnswer with the letter.",
        Reader::Letter,
    );
    let braces = Sample {
        question: "Is {options} a word? Which colour?".into(),
        ..good()
    };
    let (results, finished) = run(&mut client, asked(mine, [braces])).await.unwrap();
    assert_eq!((results.len(), finished.failed), (1, 0));
    assert!(
        server
            .client()
            .await
            .describe()
            .await
            .unwrap()
            .iter()
            .any(|r| r.name == "mme/lmms-eval" && r.compared)
    );
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_come_seldom_where_there_are_many_results() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = service(&server).await;
    let often = EvaluateHeader {
        progress_every: 1,
        ..header(vec![("a", vec![]), ("b", vec![permute_tokens(7)])])
    };
    let items: Vec<Item> = shapes().unwrap().into_iter().take(60).collect();
    let mut stream = stream(&mut client, asked(often, items.iter().map(sample)))
        .await
        .unwrap();
    let (mut told, mut finished) = (vec![0], 0);
    while let Some(response) = stream.message().await.unwrap() {
        match response.event.unwrap() {
            Event::Progress(progress) => {
                assert_eq!(
                    progress
                        .metrics
                        .iter()
                        .filter(|m| m.name == "accuracy")
                        .count(),
                    2
                );
                told.push(progress.results);
            }
            Event::Finished(last) => finished = last.results,
            _ => {}
        }
    }
    assert_eq!((finished, told[1]), (120, 1));
    assert!(
        told.windows(2).all(|w| w[1] - w[0] == (w[0] / 20).max(1)),
        "{told:?}"
    );
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pairs_and_pictures_are_known_by_what_tables_have() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = service(&server).await;
    let item = &shapes().unwrap()[0];
    let with = |id: &str, fields: &[(&str, &str)]| Sample {
        id: id.into(),
        category: "count".into(),
        answer: "Yes".into(),
        fields: fields
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ..sample(item)
    };
    let rule = |name: &str| EvaluateHeader {
        rules: Some(Rules::Rule(name.into())),
        ..Default::default()
    };
    let numbered = ["1", "2", "3", "4"].map(|id| with(id, &[]));
    let (results, finished) = run(&mut client, asked(rule("mmvp/vlmevalkit"), numbered))
        .await
        .unwrap();
    let groups: Vec<&str> = results.values().map(|r| r.group.as_str()).collect();
    assert_eq!(groups, ["pair 0", "pair 0", "pair 1", "pair 1"]);
    assert_eq!(
        (finished.metrics[0].name.as_str(), finished.metrics[0].n),
        ("pair accuracy", 2)
    );
    let pictures = [
        with("a", &[("image_path", "p")]),
        with("b", &[("question_id", "q")]),
        with("c", &[]),
    ];
    let (results, finished) = run(&mut client, asked(rule("mme"), pictures))
        .await
        .unwrap();
    let groups: Vec<&str> = results.values().map(|r| r.group.as_str()).collect();
    assert_eq!((groups, finished.failed), (vec!["p", "q", ""], 1));
    let lost = results.values().find_map(|r| r.error.as_ref()).unwrap();
    assert_eq!(
        lost.field, "sample.group",
        "without a picture's name accuracy by picture would be accuracy"
    );
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[test]
fn files_are_read_row_by_row() {
    let png = STANDARD.encode(crate::common::picture());
    let table = format!(
        "index\timage\tquestion\thint\tA\tB\tanswer\tcategory\tl2-category\n\
         1\t{png}\t\"Which\n\"\"one\"\"?\"\tnan\tred\tblue\tB\tcolour\tx\r\n\
         2\t!!\tWhich?\t\tred\tblue\tA\tcolour\tx\n\
         3\t{png}\tWhich?\t\tred\n\
         1\t{png}\tWhich?\t\tred\tblue\tA\tcolour\tx\n\
         4\t{png}\tWhich?\tLook.\tred\tblue\tC\tcolour\tx\n\
         5\t{png}\t\t\tred\tblue\tA\tcolour\tx\n\
         6\t7\tWhich?\t\tred\tblue\tA\tcolour\tx\n\
         7\t{png}\tWhich?\t\t\tblue\tA\tcolour\tx\n\
         8\tno/such.png\tWhich?\t\tred\tblue\tA\tcolour\tx\n\
         9\t{png}\tYes or no?\t\t\t\tYes\texistence\ty\n"
    );
    let rows: Vec<_> = ItemReader::table(table.as_bytes(), PathBuf::new())
        .unwrap()
        .collect();
    let first = rows[0].as_ref().unwrap();
    assert_eq!(
        (
            first.question.as_str(),
            first.hint.as_str(),
            first.options.len()
        ),
        ("Which\n\"one\"?", "", 2)
    );
    assert_eq!(
        (first.images[0].clone(), first.field("l2-category")),
        (crate::common::picture(), "x")
    );
    let errors: Vec<String> = rows
        .iter()
        .filter_map(|r| r.as_ref().err().map(ToString::to_string))
        .collect();
    let expected = [
        "line 4: image: neither base64",
        "line 5: 5 columns, the header has 9",
        "line 6: index: 1 stands there twice",
        "line 7: answer: \"C\", the options are A to B",
        "line 8: question: empty",
        "line 9: image: it names row 7, which does not stand before",
        "line 10: B: there is no option before it",
        "line 11: image: no/such.png: ",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}, expected {expected}");
    }
    assert_eq!(
        rows.last().unwrap().as_ref().unwrap().id,
        "9",
        "the rest is read"
    );
    for (table, says) in [
        ("", "no header"),
        ("index\tanswer\n", "question"),
        ("index\tindex\tquestion\n", "twice"),
    ] {
        let error = ItemReader::table(table.as_bytes(), PathBuf::new())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(says), "{error}");
    }
    let manifest = format!(
        "{{\"index\": 1, \"question\": \"Which?\", \"options\": [\"red\", \"blue\"], \"answer\": \"A\", \"image\": \"{png}\"}}\n\nnot json\n[1]\n\
         {{\"index\": \"b\", \"question\": \"Two?\", \"images\": 1, \"image\": [\"{png}\", \"{png}\"], \"precision\": 1.5}}"
    );
    let marked = format!("\u{feff}{manifest}");
    let rows: Vec<_> = ItemReader::json(marked.as_bytes(), PathBuf::new()).collect();
    assert_eq!(rows[0].as_ref().unwrap().options, ["red", "blue"]);
    assert!(rows[1].as_ref().unwrap_err().line == 3 && rows[2].as_ref().unwrap_err().line == 4);
    assert_eq!(
        (
            rows[3].as_ref().unwrap().images.len(),
            rows[3].as_ref().unwrap().field("precision")
        ),
        (2, "1.5")
    );
}

#[test]
fn a_file_that_cannot_be_read_says_so_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a-folder.jsonl");
    std::fs::create_dir(&path).unwrap();
    assert_eq!(
        ItemReader::open(&path)
            .unwrap()
            .take(9)
            .filter(Result::is_err)
            .count(),
        1
    );
    let missing = folder.path().join("missing.tsv");
    let error = ItemReader::open(&missing).err().unwrap().to_string();
    assert!(error.starts_with(missing.to_str().unwrap()), "{error}");
}

#[test]
fn a_check_names_the_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.tsv");
    let (good, bad) = (
        STANDARD.encode(crate::common::picture()),
        STANDARD.encode(b"no picture"),
    );
    let rows =
        format!("index\timage\tquestion\n1\t{good}\t\"two\nlines\"\n2\t{bad}\tWhich?\n3\t{good}\n");
    std::fs::write(&path, rows).unwrap();
    let output = scotoma()
        .args(["dataset", "check"])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let starts = [
        "line 4: image: ",
        "line 5: 2 columns, the header has 3",
        "1 items, 1 pictures",
    ];
    assert!(!output.status.success());
    assert!(
        said.lines()
            .zip(starts)
            .all(|(line, start)| line.starts_with(start)),
        "{said}"
    );
}

#[test]
fn a_row_may_name_the_picture_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("MME.tsv");
    let mut other = crate::common::picture();
    other.extend(b"more");
    let (first, second) = (
        STANDARD.encode(crate::common::picture()),
        STANDARD.encode(&other),
    );
    let rows = format!(
        "index\timage\tquestion\r\n1\t{first}\t\"two\nlines\"\r\n2\t1\tA?\r\n\r\n3\t{second}\tB?\n4\t3\tC?\n5\t2\tD?\n6\t1\tE?\n7\t7\tF?\n"
    );
    std::fs::write(&file, rows).unwrap();
    let rows: Vec<_> = ItemReader::open(&file).unwrap().collect();
    let picture = |i: usize| {
        rows[i]
            .as_ref()
            .map(|item| item.images[0].clone())
            .map_err(ToString::to_string)
    };
    for (i, expected) in [
        (0, crate::common::picture()),
        (1, crate::common::picture()),
        (2, other.clone()),
        (3, other),
        (5, crate::common::picture()),
    ] {
        assert_eq!(picture(i), Ok(expected), "row {i}");
    }
    assert!(
        picture(4)
            .unwrap_err()
            .contains("row 2, which has no picture of its own")
    );
    assert!(
        picture(6)
            .unwrap_err()
            .contains("row 7, which has no picture of its own")
    );
}

/// ItemReader that are too large, made up while they are read.
struct Long {
    left: usize,
    head: &'static [u8],
    tail: &'static [u8],
}

impl std::io::Read for Long {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !self.head.is_empty() {
            return std::io::Read::read(&mut self.head, buffer);
        }
        if self.left > 0 {
            let count = self.left.min(buffer.len());
            buffer[..count].fill(b'A');
            self.left -= count;
            return Ok(count);
        }
        std::io::Read::read(&mut self.tail, buffer)
    }
}

#[test]
fn a_cell_that_is_too_large_is_passed_over() {
    let long = |head| Long {
        left: MAX_ROW + (44 << 20),
        head,
        tail: b"\n2\tWhich?\n",
    };
    let source = std::io::BufReader::with_capacity(1 << 20, long(b"index\tquestion\n1\t"));
    let rows: Vec<_> = ItemReader::table(source, PathBuf::new()).unwrap().collect();
    assert!(
        rows[0]
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("line 2: more than"),
        "{:?}",
        rows[0]
    );
    assert_eq!(rows[1].as_ref().unwrap().id, "2");
    assert_eq!(rows.len(), 2);
}

/// 2,000 questions in a file.
fn table(folder: &Path) -> PathBuf {
    let path = folder.join("items.tsv");
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "index\timage\tquestion\tA\tB\tC\tD\tanswer\tcategory").unwrap();
    let items = shapes().unwrap();
    for i in 0..2000 {
        let item = &items[i % items.len()];
        let option = |n: usize| item.options.get(n).cloned().unwrap_or_default();
        let cells = [
            format!("{i}"),
            STANDARD.encode(&item.images[0]),
            item.question.clone(),
            option(0),
            option(1),
            option(2),
            option(3),
            item.answer.clone(),
            item.category.clone(),
        ];
        writeln!(file, "{}", cells.join("\t")).unwrap();
    }
    path
}

fn scotoma() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn serve() -> (Child, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let child = scotoma()
        .args(["serve", "--log", "error", "--listen", &free.to_string()])
        .spawn()
        .unwrap();
    for _ in 0..200 {
        if std::net::TcpStream::connect(free).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    (child, format!("http://{free}"))
}

#[test]
fn a_run_that_is_killed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = table(folder.path());
    let eval = |out: &str| {
        let mut command = scotoma();
        command.args([
            "eval",
            "shapes",
            "--json",
            "--permute",
            "3",
            "--data",
            data.to_str().unwrap(),
            "--out",
        ]);
        command.arg(folder.path().join(out));
        command
    };
    let start = std::time::Instant::now();
    let whole = eval("whole.jsonl").output().unwrap();
    // Twenty such parts are less than the whole, on any machine.
    let part = start.elapsed() / 50;
    assert!(whole.status.success());
    let (mut ended, mut lines) = (0, Vec::new());
    for kill in 0..20_u64 {
        // Of ten the client is killed, of ten the server that it talks to.
        let apart = (kill % 2 == 1).then(serve);
        let mut command = eval("killed.jsonl");
        if let Some((_, address)) = &apart {
            command.args(["--server", address, "--patience", "0"]);
        }
        let mut client = command.spawn().unwrap();
        std::thread::sleep(part + part.mul_f64(((kill * 7919) % 100) as f64 / 100.0));
        if let Some((mut server, _)) = apart {
            server.kill().unwrap();
            server.wait().unwrap();
        } else {
            client.kill().unwrap();
        }
        ended += usize::from(client.wait().unwrap().success());
        let text = std::fs::read_to_string(folder.path().join("killed.jsonl")).unwrap_or_default();
        lines.push(text.lines().count());
    }
    assert_eq!(ended, 0, "a run that was killed said that it ended well");
    assert!(
        lines.windows(2).all(|w| w[0] <= w[1] + 1) && lines[19] > 0 && lines[19] < 2000,
        "{lines:?}"
    );
    let resumed = eval("killed.jsonl").output().unwrap();
    assert!(resumed.status.success());
    let results = |name: &str| {
        let mut all = BTreeMap::new();
        for line in std::fs::read_to_string(folder.path().join(name))
            .unwrap()
            .lines()
        {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let key = value["id"].as_str().unwrap().to_owned();
            let what = (
                value["text"].clone(),
                value["verdict"].clone(),
                value["outputDigest"].clone(),
            );
            assert!(
                value.get("error").is_none() && all.insert(key, what).is_none(),
                "{line} stands there twice"
            );
        }
        all
    };
    let (one, other) = (results("whole.jsonl"), results("killed.jsonl"));
    assert_eq!(one.len(), 2000);
    assert!(
        one == other,
        "resumed results are not those of the whole run"
    );
    assert_eq!(
        String::from_utf8(whole.stdout).unwrap(),
        String::from_utf8(resumed.stdout).unwrap()
    );
}

#[test]
fn an_estimate_is_of_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results.jsonl");
    let eval = |more: &[&str]| {
        let mut command = scotoma();
        let output = command
            .args(["eval", "shapes", "--out"])
            .arg(&out)
            .args(more)
            .stderr(Stdio::piped())
            .output();
        String::from_utf8(output.unwrap().stderr).unwrap()
    };
    let lines = || std::fs::read_to_string(&out).unwrap().lines().count();
    eval(&["--limit", "16"]);
    assert_eq!(lines(), 16);
    let said = eval(&["--limit", "40", "--estimate"]);
    assert!(said.starts_with("24 answers, about "), "{said}");
    assert_eq!(lines(), 24, "eight that are new");
}

#[test]
fn items_are_analysed_and_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let data = table(folder.path());
    let run = |report: &str, more: &[&str]| {
        let mut command = scotoma();
        command.args([
            "items",
            "shapes",
            "--limit",
            "80",
            "--data",
            data.to_str().unwrap(),
            "--report",
        ]);
        command.arg(folder.path().join(report)).args(more);
        assert!(command.output().unwrap().status.success());
    };
    let keep = ["--keep", "not-blind", "--keep", "permuting-breaks"];
    run("a", &keep);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let lines: Vec<serde_json::Value> = read("a/items.jsonl")
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 80);
    assert_eq!(read("a/items.csv").lines().count(), lines.len() + 1);
    let matrix = read("a/responses.csv");
    assert_eq!(
        (
            matrix.lines().count(),
            matrix.lines().nth(1).unwrap().split(',').count()
        ),
        (10, lines.len() + 1)
    );
    for line in &lines {
        let by = |v: &str| line["by_variant"][v].as_bool().unwrap();
        let unseen = [
            by("black"),
            by("no visual tokens"),
            by("another item's picture"),
        ];
        let unseen = unseen.iter().filter(|r| !**r).count() as f64 / 3.0;
        let needed = if line["right"] == true { unseen } else { 0.0 };
        assert!(
            (line["image_needed"].as_f64().unwrap() - needed).abs() < 1e-9,
            "{line}"
        );
    }
    // What is kept can be asked again, and meets what it was kept for.
    let kept: Vec<Item> = ItemReader::open(&folder.path().join("a/kept.tsv"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(!kept.is_empty() && kept.len() < lines.len());
    for item in &kept {
        let line = lines.iter().find(|l| l["id"] == item.id.as_str()).unwrap();
        let by = |v: &str| line["by_variant"][v].as_bool().unwrap();
        assert!(
            !by("black")
                && !by("no visual tokens")
                && !by("another item's picture")
                && by("original"),
            "{line}"
        );
        assert!(
            (1..=3)
                .filter(|i| !by(&format!("permuted, seed {i}")))
                .count()
                >= 2,
            "{line}"
        );
        let original = ItemReader::open(&data)
            .unwrap()
            .map(Result::unwrap)
            .find(|i| i.id == item.id)
            .unwrap();
        assert_eq!(*item, original, "the same question");
    }
}

/// A judge that grades by the length of the question it is asked, and fails where it is told to.
async fn judge() -> (
    String,
    tokio::sync::mpsc::UnboundedReceiver<serde_json::Value>,
) {
    let (sender, asked) = tokio::sync::mpsc::unbounded_channel();
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let tries = std::sync::Arc::new(tries);
    let reply = move |headers: axum::http::HeaderMap,
                      axum::Json(body): axum::Json<serde_json::Value>| {
        let (sender, tries) = (sender.clone(), tries.clone());
        async move {
            assert_eq!(headers["authorization"], "Bearer secret");
            if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                return (
                    axum::http::StatusCode::TOO_MANY_REQUESTS,
                    axum::Json(serde_json::Value::Null),
                );
            }
            let question = body["messages"][0]["content"].as_str().unwrap().to_owned();
            sender.send(body).unwrap();
            let said = match () {
                () if question.contains("odd") => "I cannot say",
                () if question.contains("rate") => "8 6\nBecause.",
                () => "0.5",
            };
            let reply = serde_json::json!({"choices": [{"message": {"content": said}}]});
            (axum::http::StatusCode::OK, axum::Json(reply))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    let app = axum::Router::new().route("/v1/chat/completions", axum::routing::post(reply));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judge_grades_what_no_rule_can() {
    let (address, mut questions) = judge().await;
    let templates = vec![(
        JudgePrompt::Rate,
        "rate {reference} {answer} {context}".into(),
    )];
    let address = JudgeAddress {
        address,
        model: "wise".into(),
        key: "secret".into(),
    };
    let judging = JudgeConfig {
        place: JudgePlace::Service(address),
        templates,
    };
    let server = Running::start(ServerConfig {
        judge: Some(judging),
        ..ServerConfig::shapes()
    })
    .await;
    let mut client = service(&server).await;
    let items: Vec<Item> = shapes().unwrap().into_iter().take(4).collect();
    let open = |item: &Item| Sample {
        options: Vec::new(),
        answer: "it".into(),
        ..sample(item)
    };
    let rule = |name: &str, unjudged| EvaluateHeader {
        rules: Some(Rules::Rule(name.into())),
        max_tokens: 8,
        unjudged,
        ..header(vec![])
    };
    let (results, finished) = run(
        &mut client,
        asked(rule("mmvet", false), items.iter().map(open)),
    )
    .await
    .unwrap();
    assert!(
        results
            .values()
            .all(|r| r.verdict == i32::from(Verdict::Graded)
                && (r.grade - 0.5).abs() < 1e-12
                && r.review == "0.5")
    );
    assert_eq!(
        (finished.metrics[0].value, finished.metrics[1].value),
        (50.0, 0.0)
    );
    let first = questions.recv().await.unwrap();
    assert_eq!(
        (&first["model"], &first["temperature"]),
        (&"wise".into(), &0.into())
    );
    assert!(
        first["messages"][0]["content"]
            .as_str()
            .unwrap()
            .contains("Reference: it\n"),
        "{first}"
    );

    // Without it answers are unjudged; judged later, they do not run again.
    let (unjudged, finished) = run(
        &mut client,
        asked(rule("mmvet", true), items.iter().map(open)),
    )
    .await
    .unwrap();
    assert!(
        unjudged
            .values()
            .all(|r| r.verdict == i32::from(Verdict::Unjudged) && r.review.is_empty())
    );
    assert_eq!((finished.metrics[0].n, finished.metrics[1].value), (0, 4.0));
    let mut later = asked(rule("mmvet", false), []);
    later.extend(unjudged.into_values().map(Asked::Known));
    later.extend(items.iter().map(open).map(Asked::Sample));
    let (judged, finished) = run(&mut client, later).await.unwrap();
    assert_eq!(
        (
            judged.len(),
            finished.metrics[0].value,
            finished.metrics[0].n
        ),
        (4, 50.0, 4)
    );

    // The ratio of sums, by a template of one's own; a reply that cannot be read is no grade, a
    // missing reference an error.
    let rated = [
        open(&items[0]),
        Sample {
            answer: "odd".into(),
            ..open(&items[1])
        },
        Sample {
            answer: String::new(),
            ..open(&items[2])
        },
    ];
    let (results, finished) = run(&mut client, asked(rule("llavaw", false), rated))
        .await
        .unwrap();
    let of = |item: &Item| &results[&(item.id.clone(), "original".to_owned())];
    assert_eq!(
        (
            of(&items[0]).grade,
            of(&items[0]).grade_of,
            finished.metrics[0].value
        ),
        (6.0, 8.0, 75.0)
    );
    assert_eq!(
        (of(&items[1]).verdict, of(&items[1]).review.as_str()),
        (Verdict::Unjudged.into(), "I cannot say")
    );
    assert_eq!(finished.failed, 1);
    assert!(
        results
            .values()
            .any(|r| r.error.as_ref().is_some_and(|e| e.field == "sample.answer"))
    );
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_may_show_other_pictures() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = service(&server).await;
    let items: Vec<Item> = shapes()
        .unwrap()
        .into_iter()
        .filter(|i| i.category == "existence")
        .take(6)
        .collect();
    let mut wanted = header(vec![
        ("original", vec![]),
        ("other", vec![]),
        ("other, short", vec![drop_layers([6])]),
    ]);
    wanted.variants[1].pictures = "other".into();
    wanted.variants[2].pictures = "other".into();
    let swapped = |i: usize| {
        let mut own = sample(&items[i]);
        let other = sample(&items[(i + 1) % items.len()]).images;
        // One sample has none.
        if i > 0 {
            own.substitutes
                .insert("other".into(), Pictures { images: other });
        }
        own
    };
    let (results, finished) = run(&mut client, asked(wanted, (0..items.len()).map(swapped)))
        .await
        .unwrap();
    assert_eq!((results.len(), finished.failed), (18, 2));
    let of = |item: &Item, variant: &str| &results[&(item.id.clone(), variant.to_owned())];
    assert_eq!(
        of(&items[0], "other").error.as_ref().unwrap().field,
        "sample.substitutes"
    );
    assert!(of(&items[0], "original").error.is_none());
    // The answer is that to the same question under the other picture.
    let there = Sample {
        images: sample(&items[3]).images,
        ..sample(&items[2])
    };
    let (alone, _) = run(&mut client, asked(header(vec![]), [there]))
        .await
        .unwrap();
    assert_eq!(
        alone.values().next().unwrap().output_digest,
        of(&items[2], "other").output_digest
    );
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_are_options_without_letters() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = service(&server).await;
    let mut classes: Vec<String> = (0..40).map(|i| format!("thing {i}")).collect();
    classes.extend(["red", "blue"].map(String::from));
    let item = shapes()
        .unwrap()
        .into_iter()
        .find(|i| i.category == "colour")
        .unwrap();
    let question = |options: &[String]| Sample {
        options: options.to_vec(),
        answer: "blue".into(),
        ..sample(&item)
    };
    let by = |rule: &str, answering: Answering| EvaluateHeader {
        rules: Some(Rules::Rule(rule.into())),
        answering: answering.into(),
        ..header(vec![])
    };
    let texts = asked(
        by("classification", Answering::OptionTexts),
        [question(&classes)],
    );
    let (results, finished) = run(&mut client, texts).await.unwrap();
    let result = results.values().next().unwrap();
    assert_eq!((result.options.len(), finished.failed), (42, 0));
    let best = result
        .options
        .iter()
        .max_by(|a, b| a.mean_logprob.total_cmp(&b.mean_logprob))
        .unwrap();
    assert_eq!(
        (&result.text, result.verdict == i32::from(Verdict::Right)),
        (&best.option, best.option == "blue")
    );
    // Rules of letters take 26.
    let (results, _) = run(
        &mut client,
        asked(by("shapes", Answering::Generate), [question(&classes)]),
    )
    .await
    .unwrap();
    let error = results.values().next().unwrap().error.as_ref().unwrap();
    assert!(
        error.field == "sample.options" && error.message.contains("at most 26"),
        "{error:?}"
    );
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[test]
fn an_experiment_is_a_file_and_ends_in_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.json");
    let mine = serde_json::json!({
        "name": "mine", "title": "Mine <&>", "about": "Drops layers.", "plot": "curve", "x": "layer",
        "variants": [
            {"name": "original"},
            {"name": "without {layer}", "series": "one", "each": {"layer": [0, 5]}, "interventions": [{"dropLayers": {"layers": ["{layer}"]}}]},
        ],
    });
    std::fs::write(&file, mine.to_string()).unwrap();
    let run = |report: &str, limit: &str| {
        let mut command = scotoma();
        command.args([
            "experiment",
            file.to_str().unwrap(),
            "shapes",
            "--limit",
            limit,
            "--report",
        ]);
        assert!(
            command
                .arg(folder.path().join(report))
                .output()
                .unwrap()
                .status
                .success()
        );
        std::fs::read_to_string(folder.path().join(report).join("report.md")).unwrap()
    };
    let whole = run("whole", "20");
    assert!(
        whole.contains("| without 5 | accuracy |") && whole.contains("| without 0 | 20 |"),
        "{whole}"
    );
    run("parts", "7");
    // The same folder is not for another run.
    let other = scotoma()
        .args(["experiment", "layers", "shapes", "--report"])
        .arg(folder.path().join("parts"))
        .output()
        .unwrap();
    assert!(!other.status.success());
    assert_eq!(run("parts", "20"), whole, "a run in two parts");
    let read =
        |name: &str| std::fs::read_to_string(folder.path().join("whole").join(name)).unwrap();
    assert_eq!(read("results.jsonl").lines().count(), 60);
    let (page, svg) = (read("report.html"), read("mine.svg"));
    assert!(
        page.contains("Mine &lt;&amp;&gt;") && page.contains(&svg) && !page.contains("http://127")
    );
    assert_eq!(svg.matches("<circle").count(), 2);
    assert!(
        std::fs::read(folder.path().join("whole/mine.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    let record: serde_json::Value = serde_json::from_str(&read("provenance.json")).unwrap();
    assert_eq!(
        record["variants"]["without 5"][0]["dropLayers"]["layers"][0],
        5
    );
    let broken = scotoma()
        .args(["experiment", "nothing", "shapes"])
        .output()
        .unwrap();
    assert!(!broken.status.success());
}
