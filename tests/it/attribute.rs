//! Attribute: its laws, its records, and what it refuses. That its gradients are those of PyTorch is
//! tested in gradients.rs.

use crate::common::{Running, picture};
use scotoma::server::ServerConfig;
use scotoma_client::v1::{
    self, AttributionMethod, Reduction, attribute_response::Event, tokens::Named,
};
use scotoma_client::{Client, Error, ScoreRequest, VerifyRequest};
use serde_json::json;
use tonic::Code;

const QUESTION: &str = "Is there a red circle?";

/// Everything that an attribution has said.
struct Attributed {
    started: v1::Started,
    scores: Vec<v1::Activation>,
    finished: v1::AttributeFinished,
}

impl Attributed {
    fn numbers(&self) -> Vec<f32> {
        let bytes = self.scores.iter().flat_map(|s| s.data.as_chunks::<4>().0);
        bytes.map(|four| f32::from_le_bytes(*four)).collect()
    }

    fn sum(&self) -> f64 {
        self.numbers().into_iter().map(f64::from).sum()
    }
}

async fn attribute(
    client: &mut Client,
    request: v1::AttributeRequest,
) -> Result<Attributed, Error> {
    let mut stream = client.attribute(request).await?;
    let (mut started, mut scores, mut finished) = (None, Vec::new(), None);
    while let Some(response) = stream.message().await? {
        match response.event.unwrap() {
            Event::Started(event) => started = Some(event),
            Event::Scores(event) => scores.push(event),
            Event::Finished(event) => finished = Some(event),
        }
    }
    Ok(Attributed {
        started: started.unwrap(),
        scores,
        finished: finished.unwrap(),
    })
}

fn request(method: AttributionMethod) -> v1::AttributeRequest {
    v1::AttributeRequest {
        prompt: Some(scotoma_client::prompt(QUESTION, [picture()])),
        metric: Some(v1::Metric {
            kind: Some(v1::metric::Kind::Logprob(" yes".into())),
        }),
        method: method.into(),
        ..Default::default()
    }
}

/// The same question about a blank picture.
fn blank() -> v1::TraceInput {
    v1::TraceInput {
        prompt: None,
        interventions: serde_json::from_value(json!([{"blankImage": {}}])).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn integrated_gradients_add_up() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    for point in [
        "pixels",
        "vision_tower.blocks.2.hook_resid_pre",
        "projector.hook_tokens",
        "language_model.blocks.2.hook_resid_pre",
    ] {
        let asked = v1::AttributeRequest {
            points: vec![point.into()],
            // Not zeros: near them norms blow up, and no number of steps is enough.
            source: Some(blank()),
            steps: 64,
            ..request(AttributionMethod::IntegratedGradients)
        };
        let found = attribute(&mut client, asked).await.unwrap();
        let expected = found.finished.value - found.finished.baseline.unwrap();
        let off = (found.sum() - expected).abs();
        assert!(
            off < 0.02 * expected.abs(),
            "{point}: {} {expected}",
            found.sum()
        );
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_those_of_score_and_records_repeat() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let asked = request(AttributionMethod::GradientTimesInput);
    let scored = client.score(ScoreRequest {
        prompt: asked.prompt.clone(),
        continuations: vec![" yes".into()],
        ..Default::default()
    });
    let expected = scored.await.unwrap().scores[0].logprob;
    let (first, second) = (
        attribute(&mut client, asked.clone()).await.unwrap(),
        attribute(&mut client, asked.clone()).await.unwrap(),
    );
    assert!((first.finished.value - expected).abs() < 1e-5 * expected.abs().max(1.0));
    assert_eq!(first.numbers(), second.numbers());
    assert_eq!(first.finished.provenance, second.finished.provenance);
    assert_eq!(first.started.cost, first.finished.rows_computed);
    let layers = first.scores.iter().map(|s| s.point.clone());
    let expected: Vec<String> = (0..8)
        .map(|layer| format!("language_model.blocks.{layer}.hook_resid_pre"))
        .collect();
    assert_eq!(layers.collect::<Vec<_>>(), expected);
    assert!(
        first
            .scores
            .iter()
            .all(|s| s.shape == [first.started.prompt_tokens])
    );
    let verified = client.verify(VerifyRequest {
        provenance: first.finished.provenance,
        images: asked.prompt.unwrap().images,
    });
    let verified = verified.await.unwrap();
    assert!(verified.agrees, "{:?}", verified.differences);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_act_and_stand_in_the_record() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let changes =
        json!([{"occludePatches": {"indices": {"indices": [3]}}}, {"dropLayers": {"layers": [7]}}]);
    let asked = v1::AttributeRequest {
        interventions: serde_json::from_value(changes).unwrap(),
        ..request(AttributionMethod::Gradient)
    };
    let scored = client.score(ScoreRequest {
        prompt: asked.prompt.clone(),
        interventions: asked.interventions.clone(),
        continuations: vec![" yes".into()],
        ..Default::default()
    });
    let scored = scored.await.unwrap();
    let found = attribute(&mut client, asked).await.unwrap();
    let expected = scored.scores[0].logprob;
    assert!((found.finished.value - expected).abs() < 1e-5 * expected.abs().max(1.0));
    // Layer 7 has no rows, so no scores.
    assert_eq!(found.scores.len(), 7);
    let (own, plain) = (
        found.finished.provenance.unwrap(),
        scored.provenance.unwrap(),
    );
    assert_eq!(own.plan, plain.plan);
    assert!(own.plan.iter().all(|one| one.fired == 1));
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patching_is_zero_where_nothing_differs_and_first_order_elsewhere() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let same = v1::AttributeRequest {
        source: Some(v1::TraceInput::default()),
        ..request(AttributionMethod::Patching)
    };
    let found = attribute(&mut client, same).await.unwrap();
    assert!(found.numbers().iter().all(|&score| score == 0.0));
    // Along the whole way all rows together change what the other input changes.
    let walked = v1::AttributeRequest {
        source: Some(blank()),
        steps: 64,
        points: vec!["projector.hook_tokens".into()],
        ..request(AttributionMethod::Patching)
    };
    let found = attribute(&mut client, walked).await.unwrap();
    let scored = client.score(ScoreRequest {
        prompt: request(AttributionMethod::Patching).prompt,
        interventions: blank().interventions,
        continuations: vec![" yes".into()],
        ..Default::default()
    });
    let change = scored.await.unwrap().scores[0].logprob - found.finished.value;
    assert!(
        (found.sum() - change).abs() < 0.05 * change.abs().max(0.2),
        "{} {change}",
        found.sum()
    );
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_have_a_number_for_each_patch_or_token() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let map = attribute(&mut client, request(AttributionMethod::GradCam))
        .await
        .unwrap();
    assert_eq!(map.scores.len(), 1);
    assert!(map.numbers().iter().all(|&n| n >= 0.0) && map.numbers().iter().any(|&n| n > 0.0));
    assert_eq!(map.scores[0].tokens.len(), map.numbers().len());
    let relevance = request(AttributionMethod::AttentionRelevance);
    let relevance = attribute(&mut client, relevance).await.unwrap();
    let numbers = relevance.numbers();
    assert_eq!(numbers.len(), relevance.started.prompt_tokens as usize);
    // The row that answers is relevant to itself.
    assert!(numbers.iter().all(|&n| n >= 0.0) && *numbers.last().unwrap() >= 1.0);
    let values = v1::AttributeRequest {
        points: vec!["pixels".into()],
        ..request(AttributionMethod::GradientValues)
    };
    let values = attribute(&mut client, values).await.unwrap();
    assert_eq!(values.scores[0].shape[0], 3);
    server.end().await;
}

fn at(all: &[v1::Activation], point: &str) -> v1::Activation {
    let own = all.iter().find(|own| own.point == point);
    own.unwrap().clone()
}

/// Numbers of gradients stand where the values do that Capture shows.
#[tokio::test(flavor = "multi_thread")]
async fn gradient_values_have_the_axes_of_captures() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let points = [
        "vision_tower.blocks.1.attn.hook_pattern",
        "vision_tower.blocks.1.attn.hook_z",
        "projector.hook_tokens",
        "language_model.blocks.2.attn.hook_pattern",
        "language_model.blocks.2.attn.hook_q",
        "language_model.blocks.2.hook_resid_post",
    ];
    let asked = v1::AttributeRequest {
        points: points.map(str::to_owned).to_vec(),
        ..request(AttributionMethod::GradientValues)
    };
    let gradients = attribute(&mut client, asked).await.unwrap();
    let targets = points.map(|point| crate::interventions::of(point, Named::All, Reduction::None));
    let captured = crate::interventions::capture(targets.to_vec());
    let (captured, _) = crate::interventions::captured(&mut client, captured).await;
    for point in points {
        let (value, gradient) = (at(&captured, point), at(&gradients.scores, point));
        assert_eq!(gradient.shape, value.shape, "{point}");
    }
    // And their numbers are of the same rows, heads and keys: with the values they make relevance.
    let pattern = at(&gradients.scores, points[3]);
    let (rows, heads) = (pattern.shape[0] as usize, pattern.shape[1] as usize);
    assert_ne!(rows, heads);
    let numbers = crate::interventions::numbers(&pattern);
    let value = crate::interventions::numbers(&at(&captured, points[3]));
    let relevance = v1::AttributeRequest {
        points: vec![points[3].into()],
        ..request(AttributionMethod::AttentionRelevance)
    };
    let relevance = attribute(&mut client, relevance).await.unwrap().numbers();
    for (key, expected) in relevance.iter().enumerate() {
        let of_head = |head| {
            let at = ((rows - 1) * heads + head) * rows + key;
            f32::max(numbers[at] * value[at], 0.0)
        };
        let mean = (0..heads).map(of_head).sum::<f32>() / heads as f32;
        let own = if key + 1 == rows { 1.0 } else { 0.0 };
        assert!(
            (own + mean - expected).abs() < 1e-5,
            "{key}: {mean} {expected}"
        );
    }
    server.end().await;
}

/// Rollout is the product of what Capture shows of attention, each with the identity.
#[tokio::test(flavor = "multi_thread")]
async fn rollout_is_made_of_the_patterns_that_are_captured() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let rollout = request(AttributionMethod::AttentionRollout);
    let found = attribute(&mut client, rollout).await.unwrap().numbers();
    let point = "language_model.blocks.{l}.attn.hook_pattern";
    let all = crate::interventions::of(point, Named::All, Reduction::None);
    let patterns = crate::interventions::capture(vec![all]);
    let (patterns, _) = crate::interventions::captured(&mut client, patterns).await;
    let count = found.len();
    let mut row = vec![0.0f64; count];
    row[count - 1] = 1.0;
    for pattern in patterns.iter().rev() {
        let heads = pattern.shape[1] as usize;
        let numbers = crate::interventions::numbers(pattern);
        let mut through = row.clone();
        for (token, share) in row.iter().enumerate() {
            let rows = &numbers[token * heads * count..][..heads * count];
            for (key, paid) in rows.iter().enumerate() {
                through[key % count] += share * f64::from(*paid) / heads as f64;
            }
        }
        row = through.into_iter().map(|v| v / 2.0).collect();
    }
    for (found, expected) in found.iter().zip(&row) {
        assert!(
            (f64::from(*found) - expected).abs() < 1e-6,
            "{found} {expected}"
        );
    }
    // Attention is a share, and so is what comes of it.
    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-5);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_is_named_twice_is_one() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let points = |names: &[&str]| v1::AttributeRequest {
        points: names.iter().map(|&name| name.into()).collect(),
        ..request(AttributionMethod::Gradient)
    };
    let [first, second] = [0, 1].map(|l| format!("language_model.blocks.{l}.hook_resid_pre"));
    let once = attribute(&mut client, points(&[&first, &second])).await;
    let twice = attribute(&mut client, points(&[&first, &second, &first])).await;
    assert_eq!(twice.unwrap().scores, once.unwrap().scores);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_by_name() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let plain = || request(AttributionMethod::Gradient);
    let points = |name: &str| v1::AttributeRequest {
        points: vec![name.into()],
        ..plain()
    };
    let permuted = json!([{"permuteTokens": {"seed": "1"}}]);
    let contrast = v1::metric::Kind::LogprobDifference(v1::Contrast {
        answer: " yes yes".into(),
        other: " no no".into(),
    });
    let divergence = v1::metric::Kind::Divergence(v1::Divergence::default());
    let metric = |kind| v1::AttributeRequest {
        metric: Some(v1::Metric { kind: Some(kind) }),
        ..plain()
    };
    for (asked, said) in [
        (
            v1::AttributeRequest {
                method: 0,
                ..plain()
            },
            "method",
        ),
        (
            v1::AttributeRequest {
                method: 111,
                ..plain()
            },
            "method",
        ),
        (
            v1::AttributeRequest {
                steps: 4,
                ..plain()
            },
            "steps",
        ),
        (
            v1::AttributeRequest {
                layers: vec![1],
                points: vec!["pixels".into()],
                ..plain()
            },
            "layers",
        ),
        (
            v1::AttributeRequest {
                source: Some(blank()),
                ..plain()
            },
            "source",
        ),
        (request(AttributionMethod::Patching), "source"),
        (points("language_model.hook_nothing"), "points[0]"),
        (
            points("language_model.blocks.9.hook_resid_pre"),
            "points[0]",
        ),
        (
            points("language_model.blocks.0.attn.hook_attn_scores"),
            "points[0]",
        ),
        (
            points("language_model.blocks.0.attn.hook_pattern"),
            "points",
        ),
        (
            // Of several points the path would be walked at the first one alone.
            v1::AttributeRequest {
                steps: 1,
                points: vec!["pixels".into(), "projector.hook_tokens".into()],
                ..request(AttributionMethod::IntegratedGradients)
            },
            "one point at a time",
        ),
        (
            v1::AttributeRequest {
                interventions: serde_json::from_value(permuted).unwrap(),
                ..plain()
            },
            "permute_tokens",
        ),
        (
            v1::AttributeRequest {
                points: vec!["pixels".into(); 1025],
                ..plain()
            },
            "points: 1025 given; at most 1024",
        ),
        (
            v1::AttributeRequest {
                layers: vec![1; 1025],
                ..plain()
            },
            "layers: 1025 given; at most 1024",
        ),
        (
            // Each list within its bound, and a million points all the same.
            v1::AttributeRequest {
                points: vec!["language_model.blocks.{l}.hook_resid_pre".into(); 1024],
                layers: vec![1; 1024],
                ..plain()
            },
            "points: 2048 and more with their layers; at most 1024",
        ),
        (metric(contrast), "metric.logprob_difference.other"),
        (metric(divergence), "metric.divergence"),
        (
            v1::AttributeRequest {
                prompt: Some(scotoma_client::prompt("Hello", [] as [Vec<u8>; 0])),
                ..points("pixels")
            },
            "points",
        ),
    ] {
        let error = attribute(&mut client, asked).await.err().unwrap();
        assert_eq!(error.code(), Some(Code::InvalidArgument), "{error}");
        assert!(error.to_string().contains(said), "{said}: {error}");
    }
    server.end().await;
}
