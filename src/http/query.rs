//! A route's query: what it knows, and nothing else.

use axum::extract::{FromRequestParts, Query};
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
        query
            .map(|Query(asked)| Self(asked))
            .map_err(|_| Problem::bad_request("bad-query", format!("The query may have: {}.", T::NAMES), Vec::new()))
    }
}
