//! Deterministic ids: the same cause gives the same id, so that a recipient can drop a repeat whatever happens.

use uuid::Uuid;

/// The namespace of every id the router derives.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f0c_2a1e_7b64_4d0a_9c53_1f6b_8e2d_70a4);

/// UUIDv5 of the parts. Each is preceded by its length, so that no two lists of parts run into one another.
pub fn derived(parts: &[&str]) -> String {
    let mut name = Vec::with_capacity(parts.iter().map(|part| part.len().saturating_add(8)).sum());
    for part in parts {
        name.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&NAMESPACE, &name).to_string()
}

#[cfg(test)]
mod tests {
    use super::derived;

    #[test]
    fn the_same_parts_give_the_same_id_and_other_borders_another() {
        assert_eq!(derived(&["task", "ab", "c"]), derived(&["task", "ab", "c"]));
        assert_ne!(derived(&["task", "ab", "c"]), derived(&["task", "a", "bc"]));
    }
}
