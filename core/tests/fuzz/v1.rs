//! The old API: any request becomes one of the new API that the table knows, or is refused; any answer gets a shape.

use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::route::{Refusal, Route, classify};
use chroma_ha_core::v1::{Caller, Translated, shape, translate};
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::input;
use crate::{chance, headed, kept};

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(body).is_ok()
}

/// The table knows it, and a request that asked still asks.
fn check_known(method: &str, translated: &Translated) -> Result<(), TestCaseError> {
    let path = translated.path_and_query.split('?').next().unwrap_or_default();
    let route = classify(translated.method, path);
    let asks = matches!(method, "GET" | "HEAD" | "OPTIONS");
    match &route {
        Route::Read(_) => {}
        Route::Write(_) => prop_assert!(!asks, "{} became {} {}", method, translated.method, path),
        // Names that no path can carry are refused before.
        _ => prop_assert!(false, "{} {} is {:?}", translated.method, path, route),
    }
    Ok(())
}

fn check(method: &str, target: &str, body: &[u8], known: bool) -> Result<(), TestCaseError> {
    let translated = match translate(method, target, body) {
        Ok(translated) => translated,
        Err(refusal) => {
            prop_assert!((400..=599).contains(&refusal.status()));
            return Ok(());
        }
    };
    prop_assert!(
        !is_json(body) || translated.body.is_empty() || is_json(&translated.body),
        "{:?}",
        translated.body
    );
    let place = || ("t".to_owned(), "d".to_owned(), "a name".to_owned());
    let resolved =
        translated.resolve(|_, _, _| known.then(|| CollectionId(Uuid::from_u128(7))), |_| known.then(place));
    match resolved {
        Ok(resolved) => {
            prop_assert!(resolved.collection.is_none());
            check_known(method, &resolved)
        }
        Err(refusal) => {
            prop_assert!(!known && matches!(refusal, Refusal::NoSuchCollection(_)), "{refusal:?}");
            Ok(())
        }
    }
}

/// An answer that is JSON stays JSON.
fn check_answer(
    method: &str,
    target: &str,
    body: &[u8],
    status: u16,
    answer: &[u8],
) -> Result<(), TestCaseError> {
    let Ok(translated) = translate(method, target, body) else { return Ok(()) };
    for caller in [Caller::Requests, Caller::Other] {
        let (status, shaped) = shape(&translated.shape, caller, status, answer);
        prop_assert!((100..=599).contains(&status));
        if serde_json::from_slice::<Value>(answer).is_ok() {
            prop_assert!(is_json(&shaped), "{:?} became {:?}", answer, shaped);
        }
    }
    Ok(())
}

#[test]
fn what_is_kept_is_translated_or_refused() {
    for case in kept("v1.txt") {
        let (line, body) = headed(&case);
        let (method, target) = line.split_once(' ').expect("a method and a target");
        for known in [false, true] {
            check(method, target, &body, known).unwrap_or_else(|reason| panic!("{line}: {reason}"));
        }
        check_answer(method, target, &body, 200, &body).unwrap_or_else(|reason| panic!("{line}: {reason}"));
    }
}

proptest! {
    #![proptest_config(chance())]

    #[test]
    fn whatever_comes_is_translated_or_refused(
        method in input::method(), path in input::old_path(), query in input::query(), body in input::body(), known in any::<bool>()
    ) {
        check(&method, &format!("{path}{query}"), &body, known)?;
    }

    #[test]
    fn whatever_is_answered_gets_a_shape(
        method in input::method(), path in input::old_path(), body in input::body(), status in 100u16..600, answer in input::body()
    ) {
        check_answer(&method, &path, &body, status, &answer)?;
    }
}
