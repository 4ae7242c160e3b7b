//! A route's query: what it knows, and nothing else.

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A query with the names and types of `T`. The fault repeats nothing of what was sent.
pub struct Asked<T>(pub T);

/// How many items a page is to have; None: as many as are usual.
pub fn page_size(asked: Option<usize>, usual: usize, max: usize) -> Result<usize, Problem> {
    let size = asked.unwrap_or(usual);
    if (1..=max).contains(&size) {
        return Ok(size);
    }
    Err(Problem::bad_request("bad-query", format!("`limit` must be a number from 1 to {max}."), Vec::new()))
}

/// The names a query of this type may have, for the fault.
pub trait Names {
    const NAMES: &'static str;
}

impl<T: DeserializeOwned + Names, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|_| {
            let named = misused::<T>(parts.uri.query().unwrap_or_default());
            let named = named.map_or(String::new(), |name| format!("`{name}` has no value that it may have. "));
            Problem::bad_request("bad-query", format!("{named}The query may have: {}.", T::NAMES), Vec::new())
        })
    }
}

/// The first part of a query that cannot be read by itself, where the route knows its name.
fn misused<T: DeserializeOwned + Names>(query: &str) -> Option<&str> {
    let is_read = |pair: &str| {
        let alone: Result<Uri, _> = format!("/?{pair}").parse();
        alone.is_ok_and(|alone| Query::<T>::try_from_uri(&alone).is_ok())
    };
    let wrong = query.split('&').find(|pair| !is_read(pair))?;
    let name = wrong.split('=').next().unwrap_or_default();
    T::NAMES.split(", ").any(|known| known.split(' ').next() == Some(name)).then_some(name)
}
