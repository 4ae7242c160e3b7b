//! Running a plan over one record's bytes: reads it whole and nothing else, or says where it does not follow its schema.

use super::default::long;
use super::{Plan, RecordStep, Step};
use crate::engine::schema::limits::SEQUENCE_ITEMS_MAX;

/// A record that does not follow the schema it names, or uses what we have no word for. Holds no value of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the record does not follow its schema at {}: {problem}", if path.is_empty() { "its start" } else { path.as_str() })]
pub struct Unreadable {
    /// By our own names.
    pub path: String,
    pub problem: &'static str,
}

impl Plan {
    /// The same record by our schema; `from` must hold it whole and nothing else.
    pub fn run(&self, from: &[u8], into: &mut Vec<u8>) -> Result<(), Unreadable> {
        let mut reader = Reader { rest: from, items: 0, path: Vec::new() };
        reader.step(&self.root, into).map_err(|problem| reader.fault(problem))?;
        if reader.rest.is_empty() { Ok(()) } else { Err(reader.fault("other bytes follow it")) }
    }
}

const ENDED: &str = "it ends too early";

struct Reader<'a, 'p> {
    rest: &'a [u8],
    /// Items of lists and maps so far.
    items: usize,
    path: Vec<&'p str>,
}

type Run<T = ()> = Result<T, &'static str>;

impl<'a, 'p> Reader<'a, 'p> {
    fn fault(&self, problem: &'static str) -> Unreadable {
        Unreadable { path: self.path.join("."), problem }
    }

    fn step(&mut self, step: &'p Step, into: &mut Vec<u8>) -> Run {
        match step {
            Step::CopyNull => {}
            Step::CopyBoolean => match self.take(1)? {
                flag @ [0 | 1] => into.extend(flag),
                _ => return Err("a flag is neither true nor false"),
            },
            Step::CopyInt => {
                let number = self.long()?;
                i32::try_from(number).map_err(|_| "a number is too large for an int")?;
                long(number, into);
            }
            Step::CopyLong => long(self.long()?, into),
            Step::CopyBytes => self.copy_bytes(into)?,
            Step::CopyFixed(size) => into.extend(self.take(*size)?),
            Step::Array(items) => self.blocks(into, |reader, into| reader.step(items, into))?,
            Step::Map(values) => self.blocks(into, |reader, into| {
                reader.copy_bytes(into)?;
                reader.step(values, into)
            })?,
            Step::Enum(ours) => {
                let number = usize::try_from(self.long()?).ok();
                let ours = number.and_then(|number| ours.get(number)).ok_or("it names a symbol that there is not")?;
                long(ours.ok_or("it uses a symbol that is not known here")?, into);
            }
            Step::OutOfUnion(branches) => {
                let number = usize::try_from(self.long()?).ok();
                let branch =
                    number.and_then(|number| branches.get(number)).ok_or("it names a branch that there is not")?;
                self.step(branch.as_ref().ok_or("it is of a kind that is not known here")?, into)?;
            }
            Step::IntoUnion(number, inner) => {
                long(*number, into);
                self.step(inner, into)?;
            }
            Step::Record(record) => self.record(record, into)?,
        }
        Ok(())
    }

    fn record(&mut self, record: &'p RecordStep, into: &mut Vec<u8>) -> Run {
        let name =
            |place: Option<usize>| place.and_then(|place| record.write.get(place)).map(|(name, _)| name.as_str());
        let mut dropped = Vec::new();
        let mut fields: Vec<Option<Vec<u8>>> = vec![None; if record.in_order { 0 } else { record.write.len() }];
        for (place, step) in &record.read {
            self.path.push(name(*place).unwrap_or("a field that is not ours"));
            match place {
                Some(_) if record.in_order => self.step(step, into)?,
                Some(place) => {
                    let mut field = Vec::new();
                    self.step(step, &mut field)?;
                    if let Some(slot) = fields.get_mut(*place) {
                        *slot = Some(field);
                    }
                }
                None => {
                    dropped.clear();
                    self.step(step, &mut dropped)?;
                }
            }
            self.path.pop();
        }
        for (field, (_, default)) in fields.iter().zip(&record.write) {
            into.extend(field.as_ref().unwrap_or(default));
        }
        Ok(())
    }

    /// A list's or map's blocks, each with its count; a negative one is followed by the block's size.
    fn blocks(&mut self, into: &mut Vec<u8>, mut item: impl FnMut(&mut Self, &mut Vec<u8>) -> Run) -> Run {
        loop {
            let count = self.long()?;
            if count < 0 {
                self.long()?;
            }
            let count = count.checked_abs().ok_or("a list is too long")?;
            long(count, into);
            if count == 0 {
                return Ok(());
            }
            let length = usize::try_from(count).unwrap_or(usize::MAX);
            self.items = self.items.saturating_add(length);
            if self.items > SEQUENCE_ITEMS_MAX {
                return Err("its lists are too long");
            }
            for _ in 0..length {
                item(self, into)?;
            }
        }
    }

    fn copy_bytes(&mut self, into: &mut Vec<u8>) -> Run {
        let length = self.long()?;
        let bytes = self.take(usize::try_from(length).map_err(|_| "a length is negative")?)?;
        long(length, into);
        into.extend(bytes);
        Ok(())
    }

    fn take(&mut self, length: usize) -> Run<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ENDED)?;
        self.rest = rest;
        Ok(taken)
    }

    fn long(&mut self) -> Run<i64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(ENDED)?;
            self.rest = rest;
            let low = u64::from(byte & 0x7F);
            if shift == 63 && *byte > 1 {
                return Err("a number is too large");
            }
            number |= low << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err("a number is too large")
    }
}
