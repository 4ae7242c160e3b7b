//! Avro single-object encoding: C3 01, the schema's fingerprint, the record. Never reads more, or less, than one record.

use std::cell::Cell;
use std::panic::catch_unwind;

use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};

use super::schema::limits::SEQUENCE_ITEMS_MAX;
use super::schema::path::redacted;
use super::schema::shape::Shape;
use super::schema::{Form, Published, PublishedSchema, SchemaError};

mod straight;

/// What every encoded record starts with.
const MARKER: [u8; 2] = [0xC3, 0x01];
/// Marker and fingerprint.
const HEADER_BYTES: usize = 10;
/// Room that is kept between records for encoding the next; one record that needed more does not hold it for ever.
const SCRATCH_BYTES_MAX: usize = 1 << 20;
/// Deeper than any schema of ours.
const DEPTH_MAX: usize = 32;

/// Why a record could not be encoded or decoded. Carries no value of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// Not single-object encoding: the first bytes are not C3 01.
    #[error("the record does not start with C3 01 and a schema's fingerprint: use Avro single-object encoding")]
    Unframed,
    /// Confluent's framing, and nobody here who could look the schema up.
    #[error(
        "the record names its schema by a registry's id, and this router has no registry: use Avro single-object encoding"
    )]
    FramedForRegistry,
    /// Written by a schema that is not known here.
    #[error("the record was written by a schema that is not known here: use the published one")]
    UnknownSchema,
    /// Does not follow its schema at this field; empty for the record itself.
    #[error("the record does not follow its schema at {}", if path.is_empty() { "its start" } else { path.as_str() })]
    Undecodable { path: String },
    /// Reading it ended in a panic: a fault of the router.
    #[error("the router failed on reading the record")]
    Failed,
    /// There is more after the record.
    #[error("the record is followed by other bytes: send one record")]
    TrailingBytes,
    /// One of our own records does not follow its schema: a fault of the router.
    #[error("the record does not follow its schema at {path:?} and cannot be written")]
    Unencodable { path: String },
    /// A published schema was edited wrongly.
    #[error("{0}")]
    Schema(String),
}

impl From<SchemaError> for CodecError {
    fn from(error: SchemaError) -> Self {
        CodecError::Schema(error.to_string())
    }
}

thread_local! {
    /// Where records are encoded before they are copied out at their size: growing a fresh buffer for each one, by copying
    /// what it holds already, was a tenth of DECIDE's time.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The record in single-object encoding.
pub fn encode<T: Published>(record: &T) -> Result<Vec<u8>, CodecError> {
    let published = T::SCHEMA.published()?;
    encode_by(published.own()?, record).map_err(|()| unencodable(record, published))
}

/// The record by the last released schema where that can say it all, else by our own: then routers of that release read
/// it, and the same content keeps the same bytes when a schema grows.
pub fn encode_stably<T: Published>(record: &T) -> Result<Vec<u8>, CodecError> {
    match T::SCHEMA.published()?.released().map(|released| encode_by(released, record)) {
        Some(Ok(encoded)) => Ok(encoded),
        Some(Err(())) | None => encode(record),
    }
}

/// The record by the last released schema, for whoever has not been upgraded: what that cannot say is left out.
pub fn encode_for_released<T: Published>(record: &T) -> Result<Vec<u8>, CodecError> {
    let published = T::SCHEMA.published()?;
    let Some(released) = published.released() else { return encode(record) };
    encode_by(released, &record.as_released()).map_err(|()| unencodable(record, published))
}

fn encode_by<T: Published>(form: Form<'_>, record: &T) -> Result<Vec<u8>, ()> {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    scratch.extend_from_slice(&MARKER);
    scratch.extend_from_slice(form.rabin_fingerprint());
    straight::write(record, form.root, &mut scratch).map_err(drop)?;
    let encoded = scratch.as_slice().to_vec();
    if scratch.capacity() <= SCRATCH_BYTES_MAX {
        SCRATCH.set(scratch);
    }
    Ok(encoded)
}

/// Finds the field by encoding again, slowly.
fn unencodable<T: Published>(record: &T, published: &PublishedSchema) -> CodecError {
    let (mut track, mut out) = (serde_path_to_error::Track::new(), Vec::new());
    let writer = straight::writer(published.root(), &mut out);
    let _ = record.serialize(serde_path_to_error::Serializer::new(writer, &mut track));
    CodecError::Unencodable { path: redacted(&track.path(), &root(published)) }
}

/// The record in these bytes, which must hold it whole and nothing else. A panic over them is a record that cannot be read.
pub fn decode<T: Published>(bytes: &[u8]) -> Result<T, CodecError> {
    catch_unwind(|| decode_unguarded::<T>(bytes)).unwrap_or(Err(CodecError::Failed))
}

fn decode_unguarded<T: Published>(bytes: &[u8]) -> Result<T, CodecError> {
    let published = T::SCHEMA.published()?;
    let unframed = || if bytes.first() == Some(&0) { CodecError::FramedForRegistry } else { CodecError::Unframed };
    let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(unframed)?;
    let fingerprint = header.strip_prefix(&MARKER).ok_or_else(unframed)?;
    let writer = published.writer(fingerprint).ok_or(CodecError::UnknownSchema)?;
    let mut config = DeserializerConfig::new(writer);
    config.max_seq_size = SEQUENCE_ITEMS_MAX;
    config.allowed_depth = DEPTH_MAX;
    let mut state = DeserializerState::with_config(SliceRead::new(body), config.clone());
    let record = T::deserialize(state.deserializer()).map_err(|_| undecodable::<T>(body, config, published))?;
    if is_drained(state.into_reader()) { Ok(record) } else { Err(CodecError::TrailingBytes) }
}

/// Finds the field by decoding again, slowly.
fn undecodable<T: Published>(body: &[u8], config: DeserializerConfig<'_>, published: &PublishedSchema) -> CodecError {
    let mut state = DeserializerState::with_config(SliceRead::new(body), config);
    let path = match serde_path_to_error::deserialize::<_, T>(state.deserializer()) {
        Ok(_) => String::new(),
        Err(error) => redacted(error.path(), &root(published)),
    };
    CodecError::Undecodable { path }
}

fn root(published: &PublishedSchema) -> Shape {
    Shape::Record(published.root().clone())
}

fn is_drained(mut reader: SliceRead<'_>) -> bool {
    std::io::BufRead::fill_buf(&mut reader).is_ok_and(<[u8]>::is_empty)
}
