//! How long one record takes: decoding, encoding, reading CloudEvents JSON, and the whole of intake. Printed, never
//! asserted.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use pathway_router::engine::identity::Keys;
use pathway_router::engine::intake::standing::Agencies;
use pathway_router::engine::intake::{IncomingRecord, IntakeContext, Partner, Partners, referral};
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::seal::Sealer;
use pathway_router::engine::{cloud_event, codec};
use serde_json::Value;

const RECEIPT: Timestamp = Timestamp(1_775_041_200_000);

fn sample() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/events/missing.started.json");
    let text = std::fs::read_to_string(path).expect("the sample event");
    serde_json::from_str(&text).expect("JSON")
}

fn records(criterion: &mut Criterion) {
    let json = sample();
    let event = cloud_event::read(&json).expect("a usable sample").event;
    let bytes = codec::encode(&event).expect("a usable sample");
    println!("one sample event of {} bytes", bytes.len());
    criterion.bench_function("encode an event", |bencher| bencher.iter(|| codec::encode(black_box(&event))));
    criterion.bench_function("decode an event", |bencher| {
        bencher.iter(|| codec::decode::<ReferralEvent>(black_box(&bytes)));
    });
    criterion.bench_function("read a CloudEvent", |bencher| bencher.iter(|| cloud_event::read(black_box(&json))));

    let keys = Keys::from_secret(&[1; 32]);
    let sealer = Sealer::from_secret(&[2; 32]);
    let partners: Partners = [("police".to_owned(), Partner::default())].into();
    let agencies = Agencies { names: ["school".to_owned()].into(), ..Agencies::default() };
    let context = IntakeContext {
        keys: &keys,
        sealer: &sealer,
        partners: &partners,
        agencies: &agencies,
        front_door_phone: None,
    };
    let incoming = IncomingRecord {
        topic: "referrals.police",
        partition: 0,
        offset: 0,
        receipt: RECEIPT,
        sender: "police",
        by_gateway: true,
        unit: Some("missing-from-home"),
        headers: &[],
        fault: None,
        value: &bytes,
        allow_backfill: false,
    };
    assert!(referral(&context, &incoming).quarantined.is_none(), "the sample is accepted");
    criterion.bench_function("take in an event", |bencher| bencher.iter(|| referral(&context, black_box(&incoming))));
    let accepted = referral(&context, &incoming);
    if let Some(record) = accepted.inbox.first() {
        criterion
            .bench_function("encode its inbox record", |bencher| bencher.iter(|| codec::encode(black_box(record))));
    }
}

criterion_group!(benches, records);
criterion_main!(benches);
