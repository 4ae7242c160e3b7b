//! Records by somebody else's schema: put into ours field for field, or refused. Checked against apache-avro's encoder.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use pathway_router::engine::codec;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::schema::{Published, SchemaName};
use pathway_router::wire::plan::{Plan, plan};
use pathway_router::wire::schema::parse;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::samples;

fn ours(name: SchemaName) -> Value {
    serde_json::from_str(name.text()).unwrap()
}

fn planned(name: SchemaName, theirs: &Value) -> Result<Plan, String> {
    let (theirs, ours) = (parse(&theirs.to_string())?, parse(name.text())?);
    plan(&theirs, &ours).map_err(|error| error.to_string())
}

/// The record as somebody would write it by this schema, which differs from ours in the fields of its root alone.
/// (apache-avro's own resolution takes the first branch that fits, whatever its name: it is not used.)
fn written_by<T: Published>(theirs: &Value, record: &T) -> Vec<u8> {
    let schema = Schema::parse_str(T::SCHEMA.text()).unwrap();
    let encoded = codec::encode(record).unwrap();
    let read = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut &encoded[10..]).unwrap();
    let Avro::Record(mut known) = read else { panic!("a record") };
    let later_kinds = theirs["fields"].as_array().unwrap().iter().find(|field| field["name"] == "detail");
    let shift = later_kinds.map_or(0, |field| field["type"].as_array().unwrap().len() - samples::kinds().count());
    let mut value_of = |name: &str| {
        let Some(index) = known.iter().position(|(field, _)| field == name) else {
            return if name == "later" { Avro::Long(0) } else { Avro::Union(0, Box::new(Avro::Null)) };
        };
        match known.swap_remove(index).1 {
            Avro::Union(branch, value) if name == "detail" => {
                Avro::Union(branch + u32::try_from(shift).unwrap(), value)
            }
            value => value,
        }
    };
    let names = theirs["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap().to_owned());
    let written = Avro::Record(names.map(|name| (name.clone(), value_of(&name))).collect());
    let theirs = Schema::parse_str(&theirs.to_string()).unwrap();
    GenericDatumWriter::builder(&theirs).build().unwrap().write_value_to_vec(written).unwrap()
}

fn translated(plan: &Plan, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut into = Vec::new();
    plan.run(bytes, &mut into).map_err(|error| error.to_string())?;
    Ok(into)
}

fn read(translated: &[u8]) -> ReferralEvent {
    let own = SchemaName::ReferralEvent.published().unwrap().own().unwrap();
    codec::decode(&[&[0xC3, 0x01], &own.rabin_fingerprint()[..], translated].concat()).unwrap()
}

/// Every sample event, by `theirs`, is read as it was meant.
fn check_read(theirs: &Value) {
    let plan = planned(SchemaName::ReferralEvent, theirs).unwrap();
    assert!(!plan.is_identity);
    for kind in samples::kinds() {
        let event = samples::event(kind);
        let bytes = written_by(theirs, &event);
        assert_eq!(read(&translated(&plan, &bytes).unwrap()), event, "{kind}");
    }
}

fn fields(schema: &mut Value) -> &mut Vec<Value> {
    schema["fields"].as_array_mut().unwrap()
}

fn field<'a>(schema: &'a mut Value, name: &str) -> &'a mut Value {
    fields(schema).iter_mut().find(|field| field["name"] == name).unwrap()
}

#[test]
fn our_own_schemas_need_no_translation() {
    for name in SchemaName::ALL {
        assert!(planned(name, &ours(name)).unwrap().is_identity, "{}", name.file_stem());
        let mut undocumented = ours(name);
        undocumented.as_object_mut().unwrap().remove("doc");
        assert!(planned(name, &undocumented).unwrap().is_identity, "{}", name.file_stem());
    }
}

#[test]
fn other_order_more_and_fewer_fields_are_read_as_they_were_meant() {
    // Types are defined at their first use: only fields that define none may change places.
    let mut reordered = ours(SchemaName::ReferralEvent);
    let moved = fields(&mut reordered).iter().position(|field| field["name"] == "event_id").unwrap();
    let id = fields(&mut reordered).remove(moved);
    fields(&mut reordered).push(id);
    check_read(&reordered);

    let mut longer = ours(SchemaName::ReferralEvent);
    let more = json!({"name": "case_worker", "type": ["null", {"type": "map", "values": "double"}], "default": null});
    fields(&mut longer).insert(3, more);
    check_read(&longer);

    let mut shorter = ours(SchemaName::ReferralEvent);
    fields(&mut shorter).retain(|field| field["name"] != "partner_reference");
    let plan = planned(SchemaName::ReferralEvent, &shorter).unwrap();
    let mut event = samples::event("self_harm.reported");
    let bytes = written_by(&shorter, &event);
    event.partner_reference = None;
    assert_eq!(read(&translated(&plan, &bytes).unwrap()), event);
}

#[test]
fn a_number_that_stands_for_something_else_is_refused() {
    for other in [json!("long"), json!({"type": "long", "logicalType": "timestamp-micros"}), json!("string")] {
        let mut theirs = ours(SchemaName::Outcome);
        field(&mut theirs, "at")["type"] = other;
        let problem = planned(SchemaName::Outcome, &theirs).unwrap_err();
        assert!(problem.starts_with("at must be written as long (timestamp-millis), not as "), "{problem}");
    }
    let mut lacking = ours(SchemaName::Outcome);
    fields(&mut lacking).retain(|field| field["name"] != "reply_to");
    assert_eq!(planned(SchemaName::Outcome, &lacking).unwrap_err(), "reply_to is missing and has no default");
    let mut another = ours(SchemaName::Outcome);
    another["name"] = json!("Reply");
    let problem = planned(SchemaName::Outcome, &another).unwrap_err();
    assert_eq!(problem, "must be written as record pathway.Outcome, not as record pathway.Reply");
    assert!(planned(SchemaName::Task, &ours(SchemaName::Outcome)).is_err());
}

#[test]
fn a_word_of_theirs_that_we_lack_takes_the_default_and_a_kind_we_lack_is_refused() {
    let mut theirs = ours(SchemaName::Outcome);
    field(&mut theirs, "outcome")["type"]["symbols"].as_array_mut().unwrap().insert(0, json!("forwarded"));
    let plan = planned(SchemaName::Outcome, &theirs).unwrap();
    let text = |text: &str| [vec![u8::try_from(text.len() * 2).unwrap()], text.as_bytes().to_vec()].concat();
    let bytes =
        |symbol: u8| [text("id"), text("reply"), vec![symbol * 2], text("n"), text("r"), vec![2, 0, 0]].concat();
    let ours = |symbol: u8| [text("id"), text("reply"), vec![symbol * 2], text("n"), text("r"), vec![2, 0, 0]].concat();
    assert_eq!(translated(&plan, &bytes(0)).unwrap(), ours(5), "unknown");
    assert_eq!(translated(&plan, &bytes(1)).unwrap(), ours(0), "acknowledged");
    assert!(translated(&plan, &bytes(7)).unwrap_err().contains("at outcome: it names a symbol that there is not"));

    let mut newer = crate::resolution::ours(SchemaName::ReferralEvent);
    let kinds = field(&mut newer, "detail")["type"].as_array_mut().unwrap();
    let kind = json!({"type": "record", "name": "PetReported", "fields": [{"name": "species", "type": "string"}]});
    kinds.insert(0, kind);
    check_read(&newer);
    let plan = planned(SchemaName::ReferralEvent, &newer).unwrap();
    let mut pet = written_by(&newer, &samples::event("missing.started"));
    let known = written_by(&crate::resolution::ours(SchemaName::ReferralEvent), &samples::event("missing.started"));
    let branch = pet.iter().zip(&known).position(|(theirs, ours)| theirs != ours).unwrap();
    pet[branch] = 0;
    let refused = translated(&plan, &pet).unwrap_err();
    assert!(refused.contains("at detail: it is of a kind that is not known here"), "{refused}");
}

#[test]
fn every_part_of_a_record_and_every_byte_after_it_is_refused() {
    let mut theirs = ours(SchemaName::ReferralEvent);
    fields(&mut theirs).push(json!({"name": "later", "type": "long", "default": 0}));
    let plan = planned(SchemaName::ReferralEvent, &theirs).unwrap();
    for kind in ["self_harm.reported", "exploitation.screened", "event.withdrawn"] {
        let whole = written_by(&theirs, &samples::event(kind));
        assert!(translated(&plan, &whole).is_ok());
        for length in 0..whole.len() {
            assert!(translated(&plan, &whole[..length]).is_err(), "{kind} cut to {length}");
        }
        assert!(translated(&plan, &[&whole[..], &[0]].concat()).is_err());
    }
}

#[test]
fn a_schema_that_names_itself_or_too_much_is_refused() {
    let of = |fields: Value| json!({"type": "record", "name": "pathway.Outcome", "fields": fields});
    let itself = of(json!([{"name": "next", "type": ["null", "pathway.Outcome"], "default": null}]));
    assert_eq!(planned(SchemaName::Outcome, &itself).unwrap_err(), "a type refers to itself");
    let mut fields = vec![json!({"name": "f0", "type": {"type": "record", "name": "R0", "fields": []}})];
    for depth in 1..40 {
        let inner = format!("R{}", depth - 1);
        let twice = json!([{"name": "a", "type": inner}, {"name": "b", "type": inner}]);
        let record = json!({"type": "record", "name": format!("R{depth}"), "fields": twice});
        fields.push(json!({"name": format!("f{depth}"), "type": record}));
    }
    let problem = planned(SchemaName::Outcome, &of(json!(fields))).unwrap_err();
    assert!(problem.contains("names too many types"), "{problem}");
}

proptest! {
    /// Bytes of any kind are refused or read; nothing is waited for, and nothing panics.
    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut theirs = ours(SchemaName::ReferralEvent);
        fields(&mut theirs).push(json!({"name": "later", "type": {"type": "array", "items": "null"}, "default": []}));
        let plan = planned(SchemaName::ReferralEvent, &theirs).unwrap();
        if let Ok(translated) = translated(&plan, &bytes) {
            let own = SchemaName::ReferralEvent.published().unwrap().own().unwrap();
            let framed = [&[0xC3, 0x01], &own.rabin_fingerprint()[..], &translated].concat();
            let _ = codec::decode::<ReferralEvent>(&framed);
        }
    }
}
